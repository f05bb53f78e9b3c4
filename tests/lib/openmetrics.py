# SPDX-License-Identifier: Apache-2.0
"""A strict reader of OpenMetrics 1.0 text, from the specification alone.

parse(text) gives {family name: Family} and raises Bad at the first breach of
any rule of form; and of those of the older text format of Prometheus (0.0.4),
which a textfile collector reads: no other types than counter, gauge and
histogram, no timestamps, no exemplars. It shares no code with the daemon.
"""
import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r"[a-zA-Z_][a-zA-Z0-9_]*"
VALUE = r'(?:[^"\\\n]|\\[\\"n])*'
SAMPLE = re.compile(
    rf"({NAME})(?:\{{({LABEL}=\"{VALUE}\"(?:,{LABEL}=\"{VALUE}\")*)\}})? "
    r"(\S+)")
PAIR = re.compile(rf'({LABEL})="({VALUE})"')
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Inf)|NaN")
META = re.compile(rf"# (TYPE|UNIT|HELP) ({NAME}) (.*)")
SUFFIXES = {"counter": ("_total",), "gauge": ("",),
            "histogram": ("_bucket", "_count", "_sum")}
RESERVED = ("_total", "_created", "_bucket", "_count", "_sum", "_gsum",
            "_gcount")


class Bad(Exception):
    pass


def need(condition, line, what):
    if not condition:
        raise Bad(f"{what}: {line!r}")


def unescape(text):
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text)


class Family:
    def __init__(self, name):
        self.name, self.type, self.unit, self.help = name, None, None, None
        self.samples = {}  # (suffix, ((label, value), ...)): number
        self.groups = []   # label sets in their order, without le

    def value(self, suffix="", **labels):
        return self.samples[(suffix, tuple(sorted(labels.items())))]

    def meta(self, word, text, line):
        need(not self.samples, line, "metadata behind a sample")
        need(getattr(self, word.lower()) is None, line, "said twice")
        if word == "TYPE":
            need(text in SUFFIXES, line, "no type of both formats")
            self.type = text
        elif word == "UNIT":
            need(self.name.endswith("_" + text), line, "the name lacks it")
            self.unit = text
        else:
            need(not re.search(r'(?<!\\)(?:\\\\)*(?:\\[^\\"n]|")', text),
                 line, "not escaped")
            self.help = unescape(text)

    def sample(self, suffix, labels, number, line):
        need(self.type, line, "a sample before its TYPE")
        need(suffix in SUFFIXES[self.type], line, "not of this type")
        names = [name for name, _ in labels]
        need(len(set(names)) == len(names), line, "a label twice")
        need(not any(name.startswith("__") for name in names), line,
             "a reserved label")
        need(("le" in names) == (suffix == "_bucket"), line, "le")
        key = (suffix, tuple(sorted(labels)))
        need(key not in self.samples, line, "a series twice")
        if self.type != "gauge":
            need(number >= 0 and not math.isnan(number), line, "negative")
        group = tuple(sorted(pair for pair in labels if pair[0] != "le"))
        if group not in self.groups:
            self.groups.append(group)
        need(self.groups[-1] == group, line, "groups are mixed")
        self.samples[key] = number

    def finish(self):
        need(self.type and self.help, self.name, "no TYPE or HELP")
        if self.type == "histogram":
            for group in self.groups:
                self.check_histogram(group)

    def check_histogram(self, group):
        last = (-math.inf, -1.0)
        for (suffix, labels), number in self.samples.items():
            if suffix != "_bucket" or \
                    tuple(p for p in labels if p[0] != "le") != group:
                continue
            text = dict(labels)["le"]
            bound = float(text)
            need(text == ("+Inf" if math.isinf(bound) else repr(bound)),
                 text, "no canonical bound")
            need(bound > last[0] and number >= last[1], labels,
                 "buckets do not rise")
            need(number == int(number), labels, "no whole number")
            last = (bound, number)
        need(math.isinf(last[0]), self.name, "no +Inf")
        need(self.samples[("_count", group)] == last[1], self.name,
             "count is not the last bucket")
        need(("_sum", group) in self.samples, self.name, "no sum")


def split_name(name, family):
    """The suffix of a sample's name behind that of its family, or None."""
    if family and name.startswith(family.name) and \
            name[len(family.name):] in SUFFIXES.get(family.type, ()):
        return name[len(family.name):]
    return None


def parse(text):
    need(text.endswith("# EOF\n"), text[-20:], "no end mark")
    need(text.isascii() and "\r" not in text, "", "not plain ASCII")
    families, current = {}, None
    for line in text[:-len("# EOF\n")].splitlines():
        meta = META.fullmatch(line)
        if meta:
            word, name, rest = meta.groups()
            if current is None or current.name != name:
                need(name not in families, line, "a family twice")
                need(not name.endswith(RESERVED), line, "a reserved suffix")
                current = families[name] = Family(name)
            current.meta(word, rest, line)
            continue
        found = SAMPLE.fullmatch(line)
        need(found, line, "neither metadata nor sample")
        suffix = split_name(found[1], current)
        need(suffix is not None, line, "not of the family before it")
        need(NUMBER.fullmatch(found[3]), line, "no number")
        current.sample(suffix, [(name, unescape(value)) for name, value in
                                PAIR.findall(found[2] or "")],
                       float(found[3]), line)
    for family in families.values():
        family.finish()
    taken = [family.name + suffix for family in families.values()
             for suffix in (*SUFFIXES[family.type], "_created")]
    for family in families.values():
        need(family.name not in [name for name in taken
                                 if name != family.name], family.name,
             "the name of another's sample")
    return families
