#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the source tree that a machine can hold.

usage: tests/lint/lint.py [--build DIR] [CHECK...]
Each check is one function of CHECKS and counts as one test; it yields what
breaks it. tests/lint/allow.txt lists the exceptions, each with its reason; an
exception that excuses nothing any more is an error too. Checks on programs
and objects need the build tree. Last line: N passed, N failed, N skipped.
"""
import argparse
import ast
import fnmatch
import glob
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
C_DIRS = ("lib", "proto", "spawn", "daemon", "client", "resolver")
# What a folder may include: itself and these.
LAYERS = {
    "lib": (),
    "proto": ("lib",),
    "spawn": ("lib", "proto"),
    "client": ("lib", "proto"),
    "daemon": ("lib", "proto"),
    "resolver": ("lib", "proto"),
}
# Header pattern -> the files that may include it.
LIBRARY_HEADERS = {
    "event2/buffer.h": ("daemon/peer*.c", "daemon/peer.h"),
    "event2/*": ("daemon/loop.c",),
    "event.h": ("daemon/loop.c",),
    "systemd/*": ("daemon/notify.c",),
    "seccomp.h": ("daemon/confine_calls.c",),
    "shadow/*": ("resolver/subid.c", "resolver/user.c"),
    "protobuf-c/*": ("daemon/*", "client/*", "proto/pbpool.*"),
    "*.pb-c.h": ("daemon/*", "client/*"),
    "jansson.h": ("daemon/*", "client/*", "resolver/*",
                  "proto/bootstrap_json.c", "proto/json_load.*",
                  "proto/policy_json*"),
}
# Calls that no source of the folder may make.
FORBIDDEN_CALLS = {
    "*": ("gets", "strcpy", "strcat", "sprintf", "vsprintf", "strtok",
          "tmpnam", "mktemp", "tempnam", "atoi", "atol", "alloca", "rand",
          "system", "popen", "setjmp", "longjmp"),
    "spawn": ("getenv", "secure_getenv", "fopen", "fdopen", "execvp",
              "execlp", "execvpe", "dlopen", "getpwnam", "getpwuid",
              "getgrnam", "getgrgid", "setlocale", "syslog"),
}
ROOT_PROGRAMS = ("nsexec-spawner", "nsexec")
# What only the resolver links: it may load modules of the name service.
RESOLVER_LIBRARIES = ("libsubid",)
OTHER_PROGRAMS = ("nsexecd", "nsexecctl", ".libs/libnsexec.so")
FOREIGN_SYMBOLS = re.compile(
    r"\b(protobuf_c_\w+|event_base_\w+|evbuffer_\w+|json_\w+|sd_\w+|"
    r"subid_\w+|pthread_create)$")
MAX_FUNCTION, MAX_FILE, MAX_PARAMETERS = 60, 600, 5


class Allow:
    """tests/lint/allow.txt: "check object reason"."""

    def __init__(self, path):
        self.rows, self.used = [], set()
        with open(path, encoding="utf-8") as f:
            for line in f:
                line = line.split("#", 1)[0].strip()
                if line:
                    check, what, reason = line.split(None, 2)
                    self.rows.append((check, what, reason))

    def has(self, check, what):
        for row in self.rows:
            if row[0] == check and fnmatch.fnmatch(what, row[1]):
                self.used.add(row)
                return True
        return False

    def unused(self, checks):
        return [row for row in self.rows
                if row[0] in checks and row not in self.used]


class Tree:
    """The files of the project, and where it was built."""

    def __init__(self, build):
        self.build = build
        out = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"], cwd=TOP, check=True,
            stdout=subprocess.PIPE).stdout
        self.files = sorted(name for name in out.decode().split("\0")
                            if name and os.path.isfile(f"{TOP}/{name}"))

    def c_files(self):
        return [n for n in self.files if n.endswith((".c", ".h"))]

    def own(self):
        """The C files of the programs themselves."""
        return [n for n in self.c_files() if n.split("/")[0] in C_DIRS]

    def objects(self):
        found = []
        for name in self.own():
            if not name.endswith(".c"):
                continue
            base, leaf = os.path.split(name[:-2])
            found += glob.glob(f"{self.build}/{base}/{leaf}.o")
            found += glob.glob(f"{self.build}/{base}/*-{leaf}.o")
        return sorted(set(found))


def read(name):
    with open(f"{TOP}/{name}", encoding="utf-8", errors="replace") as f:
        return f.read()


def without_text(source):
    """C source with comments and literals blanked, lines kept."""
    def blank(match):
        kept = "\n" * match[0].count("\n")
        return kept if match[0].startswith("/") else '""' + kept
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'
                  r"'(?:\\.|[^'\\\n])*'", blank, source, flags=re.S)


def includes(name):
    return re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', read(name),
                      re.M)


def functions(name):
    """(name, parameters, lines) of every function defined in a C file.

    The house format puts the return type on its own line and the braces of a
    definition in the first column, which is what this relies on.
    """
    lines = without_text(read(name)).split("\n")
    head, start = [], 0
    for number, line in enumerate(lines):
        if line == "{" and head:
            start = number
        elif line.startswith("}") and start:
            text = " ".join(head)
            found = re.search(r"(\w+)\s*\((.*)\)", text)
            if found:
                yield found[1], parameters(found[2]), number - start - 1
            start, head = 0, []
        elif not start:
            if not line or line.endswith(";") or line.startswith("#"):
                head = []
            elif re.match(r"\w+\(", line):
                head = [line]
            elif head:
                head.append(line.strip())


def parameters(text):
    depth, count = 0, 1
    for letter in text:
        depth += letter in "([" 
        depth -= letter in ")]"
        count += letter == "," and depth == 0
    return 0 if text.strip() in ("", "void") else count


def check_spdx(tree, allow):
    """every_file_names_its_license"""
    for name in tree.files:
        if "SPDX-License-Identifier: Apache-2.0" not in \
                "\n".join(read(name).split("\n")[:5]) and \
                not allow.has("spdx", name):
            yield f"{name}: no SPDX line within its first five"


def check_header_comment(tree, allow):
    """every_source_begins_with_what_it_is"""
    for name in tree.own():
        found = re.match(r"/\* SPDX[^\n]*\n/\*(.*?)\*/", read(name), re.S)
        if not found:
            yield f"{name}: no comment after the SPDX line"
        elif found[1].count("\n") > 40 and \
                not allow.has("header-comment", name):
            yield f"{name}: header comment of {found[1].count(chr(10))} lines"


def check_layers(tree, allow):
    """folders_include_only_the_layers_below_them"""
    for name in tree.own():
        folder = name.split("/")[0]
        for header in includes(name):
            target = header.split("/")[0]
            if target in C_DIRS and target != folder and \
                    target not in LAYERS[folder] and \
                    not allow.has("layers", f"{name}:{header}"):
                yield f"{name}: includes {header}"


def check_cycles(tree, allow):
    """no_header_includes_itself_in_the_end"""
    graph = {name: [h for h in includes(name)] for name in tree.own()
             if name.endswith(".h")}
    done, path = set(), []

    def walk(name):
        if name in path:
            yield " -> ".join(path[path.index(name):] + [name])
        elif name in graph and name not in done:
            path.append(name)
            for header in graph[name]:
                yield from walk(header)
            path.pop()
            done.add(name)
    for name in graph:
        yield from walk(name)


def check_libraries(tree, allow):
    """each_library_is_included_where_it_belongs"""
    for name in tree.own():
        for header in includes(name):
            for pattern, where in LIBRARY_HEADERS.items():
                if fnmatch.fnmatch(header, pattern):
                    if not any(fnmatch.fnmatch(name, w) for w in where) and \
                            not allow.has("libraries", f"{name}:{header}"):
                        yield f"{name}: includes {header}"
                    break


def check_calls(tree, allow):
    """no_forbidden_call_is_made"""
    for name in tree.own():
        folder = name.split("/")[0]
        banned = FORBIDDEN_CALLS["*"] + FORBIDDEN_CALLS.get(folder, ())
        source = without_text(read(name))
        for call in re.findall(r"(?<![\w.>])(\w+)\s*\(", source):
            if call in banned and not allow.has("calls", f"{name}:{call}"):
                yield f"{name}: calls {call}()"


def check_functions(tree, allow):
    """functions_are_short_and_take_few_parameters"""
    for name in tree.own():
        for function, n_parameters, n_lines in functions(name):
            what = f"{name}:{function}"
            if n_lines > MAX_FUNCTION and not allow.has("function", what):
                yield f"{what}: {n_lines} lines (at most {MAX_FUNCTION})"
            if n_parameters > MAX_PARAMETERS and \
                    not allow.has("parameters", what):
                yield f"{what}: {n_parameters} parameters " \
                      f"(at most {MAX_PARAMETERS})"


def check_files(tree, allow):
    """files_are_short"""
    for name in tree.c_files():
        n_lines = read(name).count("\n")
        if n_lines > MAX_FILE and not allow.has("file", name):
            yield f"{name}: {n_lines} lines (at most {MAX_FILE})"


def check_unfinished(tree, allow):
    """nothing_is_marked_unfinished"""
    words = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    for name in tree.files:
        if not name.startswith("tests/fuzz/corpus"):
            for number, line in enumerate(read(name).split("\n"), 1):
                if words.search(line) and not allow.has("unfinished", name):
                    yield f"{name}:{number}: {line.strip()}"


def check_listed(tree, allow):
    """every_c_file_is_in_a_makefile"""
    listed = "".join(read(n) for n in tree.files
                     if n.endswith("local.mk") or n == "Makefile.am")
    for name in tree.c_files():
        if name.startswith("examples/"):
            continue  # they have builds of their own
        if not re.search(rf"(^|[\s/]){re.escape(name)}($|\s)", listed) and \
                not allow.has("listed", name):
            yield f"{name}: in no local.mk"


def check_format(tree, allow):
    """clang_format_would_change_nothing"""
    names = [n for n in tree.c_files() if not allow.has("format", n)]
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *names],
                          cwd=TOP, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        text = done.stderr.decode(errors="replace")
        yield from sorted(set(re.findall(r"^(\S+?:\d+):", text, re.M))) or \
            [text]


def check_scripts(tree, allow):
    """scripts_parse"""
    for name in tree.files:
        first = read(name).split("\n", 1)[0]
        if name.endswith(".py"):
            try:
                ast.parse(read(name), name)
            except SyntaxError as error:
                yield f"{name}: {error}"
        elif re.match(r"#!.*\b(ba)?sh\b", first) or name.endswith(".sh"):
            shell = "sh" if "bin/sh" in first else "bash"
            done = subprocess.run([shell, "-n", name], cwd=TOP, check=False,
                                  stderr=subprocess.PIPE)
            if done.returncode:
                yield done.stderr.decode(errors="replace").strip()


def check_globals(tree, allow):
    """there_are_no_mutable_globals"""
    objects = tree.objects()
    if not objects:
        yield f"no objects in {tree.build}: build it first"
    for path in objects:
        out = subprocess.run(["objdump", "-t", path], check=True,
                             stdout=subprocess.PIPE).stdout.decode()
        source = os.path.relpath(path, tree.build)
        for line in out.split("\n"):
            found = re.match(r"^[0-9a-f]+ .{7} (\.t?data|\.t?bss|"
                             r"\.data\.rel|\.data\.rel\.local)\s+"
                             r"([0-9a-f]+)\s+(?:\.hidden )?(\S+)$", line)
            if found and int(found[2], 16) and \
                    not allow.has("globals", f"{source}:{found[3]}"):
                yield f"{source}: {found[3]} in {found[1]}"


def check_root_programs(tree, allow):
    """the_root_side_links_libc_alone_and_statically"""
    for name in ROOT_PROGRAMS:
        path = f"{tree.build}/{name}"
        if not os.path.exists(path):
            yield f"{path}: not built"
            continue
        head = subprocess.run(["readelf", "-ldW", path], check=True,
                              stdout=subprocess.PIPE).stdout.decode()
        for bad in re.findall(r"INTERP|\(NEEDED\).*", head):
            yield f"{name}: {bad.strip()}"
        symbols = subprocess.run(["nm", path], check=True,
                                 stdout=subprocess.PIPE).stdout.decode()
        for line in symbols.split("\n"):
            found = FOREIGN_SYMBOLS.search(line)
            if found and not allow.has("root-symbols",
                                       f"{name}:{found[1]}"):
                yield f"{name}: symbol {found[1]}"


def check_resolver_libraries(tree, allow):
    """the_resolver_alone_links_what_looks_names_up"""
    for name in (*ROOT_PROGRAMS, *OTHER_PROGRAMS, "nsexec-resolver"):
        path = f"{tree.build}/{name}"
        if not os.path.exists(path):
            yield f"{path}: not built"
            continue
        out = subprocess.run(["ldd", path], check=False,
                             stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL).stdout.decode()
        for library in RESOLVER_LIBRARIES:
            if (library in out) != (name == "nsexec-resolver"):
                yield f"{name}: {library} in what ldd prints, or not"


def test_exists(name, what):
    """Is there such a test, class or row in a file of tests?"""
    folder = "integration" if name.endswith(".py") else "unit"
    path = f"tests/{folder}/{name}"
    if not os.path.exists(f"{TOP}/{path}"):
        return False
    source = read(path)
    row = re.fullmatch(r"row(\d\d)", what)
    if row:
        return re.search(rf"^class Rows?{row[1]}|\bdef test_row_{row[1]}_",
                         source, re.M)
    return not what or re.search(
        rf"\b(def|class) {what}\b" if folder == "integration" else
        rf"\b{what}\b", source)


def check_security(tree, allow):
    """every_threat_has_its_row_and_every_test_named_there_exists"""
    source = read("SECURITY.md")
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| [^|]+ \|$", source, re.M)
    if rows != [str(number) for number in range(1, 51)]:
        yield f"SECURITY.md: rows {' '.join(rows)} instead of 1 to 50"
    found = re.findall(r"`(test_\w+\.(?:py|c))(?: ([^`]*))?`", source)
    if len(found) < 50:
        yield f"SECURITY.md: names {len(found)} tests"
    for name, what in found:
        if not test_exists(name, what) and \
                not allow.has("security", f"{name}:{what}"):
            yield f"SECURITY.md: there is no `{name} {what}`"


CHECKS = {
    "spdx": check_spdx,
    "header-comment": check_header_comment,
    "layers": check_layers,
    "cycles": check_cycles,
    "libraries": check_libraries,
    "calls": check_calls,
    "function": check_functions,
    "file": check_files,
    "unfinished": check_unfinished,
    "listed": check_listed,
    "format": check_format,
    "scripts": check_scripts,
    "globals": check_globals,
    "root-programs": check_root_programs,
    "resolver-libraries": check_resolver_libraries,
    "security": check_security,
}
# Names of further rows in allow.txt, by the check that reads them.
ALSO = {"function": "parameters", "root-programs": "root-symbols"}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(TOP, "build/plain"))
    parser.add_argument("check", nargs="*", choices=[[], *CHECKS])
    options = parser.parse_args()
    tree = Tree(os.path.abspath(options.build))
    allow = Allow(f"{TOP}/tests/lint/allow.txt")
    passed = failed = 0
    for name in options.check or CHECKS:
        bad = list(CHECKS[name](tree, allow))
        bad += [f"tests/lint/allow.txt: not needed: {' '.join(row)}"
                for row in allow.unused((name, ALSO.get(name)))]
        passed += not bad
        failed += bool(bad)
        print(f"{'FAIL' if bad else 'ok'} {name}: {CHECKS[name].__doc__}")
        for line in bad:
            print(f"  {line}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
