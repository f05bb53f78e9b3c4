# SPDX-License-Identifier: Apache-2.0
"""Protocol buffers in the standard library, driven by the .proto text.

Schema(path) reads messages, enums and services of one file (proto2 or proto3,
no imports, no maps, no nested types: all that the schemas here have).
encode(message, dict) and decode(message, bytes) use field names as keys;
enums are their names, text is str, bytes is bytes, absent fields are absent.
It shares no code with the programs that it tests.
"""
import os
import re
import struct

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def put_varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def get_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value & (1 << 64) - 1, at
        if shift > 63:
            raise ValueError("varint too long")


class Field:
    def __init__(self, label, kind, name, number):
        self.repeated = label == "repeated"
        self.kind, self.name, self.number = kind, name, int(number)


class Schema:
    def __init__(self, path=os.path.join(TOP, "proto", "nsexec.proto")):
        with open(path, encoding="utf-8") as f:
            text = re.sub(r"//[^\n]*", "", f.read())
        self.package = re.search(r"package\s+([\w.]+)\s*;", text)[1]
        self.messages = {
            name: [Field(*found) for found in re.findall(
                r"(?:(optional|repeated|required)\s+)?([\w.]+)\s+(\w+)\s*="
                r"\s*(\d+)\s*[;\[]", body)]
            for name, body in re.findall(
                r"\bmessage\s+(\w+)\s*\{([^{}]*)\}", text)}
        self.enums = {
            name: {word: int(number) for word, number in
                   re.findall(r"(\w+)\s*=\s*(-?\d+)\s*;", body)}
            for name, body in re.findall(
                r"\benum\s+(\w+)\s*\{([^{}]*)\}", text)}
        # {method: (request, response, is a server stream)}
        self.methods = {
            name: (request, answer, bool(stream))
            for name, request, stream, answer in re.findall(
                r"\brpc\s+(\w+)\s*\(\s*(\w+)\s*\)\s*returns\s*\(\s*"
                r"(stream\s+)?(\w+)\s*\)", text)}

    def encode(self, message, values):
        fields = {field.name: field for field in self.messages[message]}
        out = bytearray()
        for name, value in values.items():
            field = fields[name]
            for item in value if field.repeated else [value]:
                if item is not None:
                    out += self._encode_one(field, item)
        return bytes(out)

    def _encode_one(self, field, value):
        if field.kind in self.messages:
            return self._block(field, self.encode(field.kind, value))
        if field.kind == "bytes":
            raw = value.encode() if isinstance(value, str) else bytes(value)
            return self._block(field, raw)
        if field.kind == "string":
            raw = value if isinstance(value, bytes) else value.encode()
            return self._block(field, raw)
        if field.kind in self.enums and isinstance(value, str):
            value = self.enums[field.kind][value]
        return put_varint(field.number << 3 | VARINT) + put_varint(int(value))

    @staticmethod
    def _block(field, raw):
        return put_varint(field.number << 3 | BYTES) + put_varint(len(raw)) + \
            raw

    def decode(self, message, data):
        fields = {field.number: field for field in self.messages[message]}
        out, at = {}, 0
        while at < len(data):
            key, at = get_varint(data, at)
            raw, at = self._raw(key & 7, data, at)
            field = fields.get(key >> 3)
            if field is None:
                continue
            value = self._decode_one(field, raw)
            if field.repeated:
                out.setdefault(field.name, []).append(value)
            else:
                out[field.name] = value
        return out

    @staticmethod
    def _raw(wire, data, at):
        if wire == VARINT:
            return get_varint(data, at)
        if wire == BYTES:
            size, at = get_varint(data, at)
            if at + size > len(data):
                raise ValueError("truncated field")
            return bytes(data[at:at + size]), at + size
        if wire == FIXED64:
            return struct.unpack_from("<Q", data, at)[0], at + 8
        if wire == FIXED32:
            return struct.unpack_from("<I", data, at)[0], at + 4
        raise ValueError(f"wire type {wire}")

    def _decode_one(self, field, raw):
        if field.kind in self.messages:
            return self.decode(field.kind, raw)
        if field.kind == "bytes":
            return raw
        if field.kind == "string":
            return raw.decode("utf-8")
        if field.kind == "bool":
            return bool(raw)
        if field.kind in self.enums:
            names = {number: word
                     for word, number in self.enums[field.kind].items()}
            return names.get(raw, raw)
        if field.kind in ("int32", "int64"):
            return raw - (1 << 64) if raw >> 63 else raw
        return raw
