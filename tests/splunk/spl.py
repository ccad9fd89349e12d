"""Searches, read as far as it takes to say that their words mean something.

As much of the language as our searches use: another command, function or option is an error until
this file knows it. A `Search` says which fields it reads that nobody has made before.
"""

import re

import conf
from expression import FUNCTIONS, Expression

# What Splunk has of every event.
OF_SPLUNK = {
    "_time",
    "_indextime",
    "_raw",
    "host",
    "source",
    "sourcetype",
    "index",
    "eventtype",
    "tag",
}
OF_SPLUNK |= {"_index_earliest", "_index_latest", "earliest", "latest"}
AGGREGATES = {
    "count", "dc", "sum", "min", "max", "avg", "median", "p95", "values", "list", "first", "last",
    "latest", "earliest",
}  # fmt: skip
CLOSING = {"(": ")", "[": "]", "{": "}"}


class SearchError(ValueError):
    pass


def expand(text, macros=None):
    """With every macro replaced by what it is defined as."""
    macros = conf.read("macros.conf") if macros is None else macros
    for _ in range(10):
        found = re.search(r"`([^`]*)`", text)
        if not found:
            break
        name = found[1]
        if name not in macros:
            raise SearchError(f"the macro `{name}` is not defined")
        text = text[: found.start()] + macros[name]["definition"] + text[found.end() :]
    if "`" in text:
        raise SearchError(f"a ` without another, or macros in a circle: {text}")
    return text


def pipeline(text):
    """The commands between the pipes, looking at quotes and brackets."""
    parts, open_signs, start, quote, at = [], [], 0, False, 0
    while at < len(text):
        sign = text[at]
        if quote:
            at += sign == "\\"
            quote = sign != '"'
        elif sign == '"':
            quote = True
        elif sign in CLOSING:
            open_signs.append(CLOSING[sign])
        elif sign in CLOSING.values():
            if not open_signs or open_signs.pop() != sign:
                raise SearchError(f"{sign} closes nothing in: {text}")
        elif sign == "|" and not open_signs:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    if quote or open_signs:
        raise SearchError(f"a quote or bracket is not closed in: {text}")
    parts.append(text[start:])
    return [part.strip() for part in parts]


class Search:
    """A search in which every macro is expanded; `known` are the names of fields from events."""

    def __init__(self, text, known, after=None):
        self._known = known | OF_SPLUNK if after is None else set(after)
        # None: whatever an event has; else what a command before has left.
        self.fields = None if after is None else set(after)
        first, *rest = pipeline(text)
        if after is not None:
            rest = [first, *rest]
        elif first:
            self._terms(first)
        if any(not part for part in rest):
            raise SearchError(f"an empty command in: {text}")
        for command in rest:
            self._command(command)

    def _command(self, text):
        name, _, rest = text.partition(" ")
        command = getattr(self, f"_do_{name}", None)
        if command is None:
            raise SearchError(f"the command {name} is not known: {text}")
        command(rest.strip())

    def _read(self, names, where):
        known = self._known if self.fields is None else self.fields
        for name in names:
            if name.removesuffix("{}") not in known and name not in known:
                raise SearchError(f"nobody makes the field {name}, in: {where}")

    def _make(self, names):
        if self.fields is None:
            self._known = self._known | set(names)
        else:
            self.fields |= set(names)

    def _terms(self, text):
        """`field=value`, words, OR and brackets of the search command."""
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
        self._read(re.findall(r"([\w.{}]+)\s*(?:!=|<=|>=|=|<|>)", bare), text)

    def _do_search(self, rest):
        self._terms(rest)

    def _do_where(self, rest):
        self._read(Expression(rest).fields, rest)

    def _do_eval(self, rest):
        for assignment in parts_of(rest):
            name, sign, value = assignment.partition("=")
            name = name.strip()
            if not sign or not re.fullmatch(r"\w+", name):
                raise SearchError(f"no assignment: {assignment}")
            self._read(Expression(value).fields, assignment)
            self._make({name})

    def _do_stats(self, rest):
        self.fields = self._aggregate(rest)

    def _do_timechart(self, rest):
        self._read({"_time"}, rest)
        rest = re.sub(r"\b(span|limit)=\S+\s*", "", rest)
        self._aggregate(rest)
        # The columns are named by values: what follows can name none of them.
        self.fields = {"_time"}

    def _do_tstats(self, rest):
        found = re.fullmatch(r"(.*?) WHERE (.*?)(?: BY (.*))?", rest, re.IGNORECASE)
        if not found:
            raise SearchError(f"tstats without WHERE: {rest}")
        what, where, by = found.groups()
        self._terms(where)
        only = OF_SPLUNK | set(conf.read("fields.conf"))
        before, self._known = self._known, only
        self.fields = self._aggregate(what + (f" BY {by}" if by else ""))
        self._known = before

    def _aggregate(self, text):
        what, by, *more = [*re.split(r" BY ", text, flags=re.IGNORECASE), ""]
        if len(more) > 1:
            raise SearchError(f"by what? {text}")
        by = [name for name in re.split(r"[,\s]+", by) if name]
        self._read(by, text)
        made = set(by)
        for part in parts_of(what):
            found = re.fullmatch(r"(\w+)(?:\((.*)\))?(?: AS (\w+))?", part, re.IGNORECASE)
            if not found or found[1] not in AGGREGATES:
                raise SearchError(f"no aggregate: {part}")
            function, of, name = found.groups()
            if of is None and function != "count":
                raise SearchError(f"{function} of what? {part}")
            if of:
                self._read({of.strip("'")}, part)
            made.add(name or (f"{function}({of})" if of else function))
        return made

    def _names(self, rest):
        return [name.lstrip("-+ ") for name in re.split(r"[,\s]+", rest) if name.strip("-+ ")]

    def _do_table(self, rest):
        names = self._names(rest)
        self._read(names, rest)
        self.fields = set(names)

    _do_fields = _do_table

    def _do_sort(self, rest):
        self._read([name for name in self._names(rest) if not name.isdigit()], rest)

    def _do_dedup(self, rest):
        self._read(self._names(rest), rest)

    def _do_mvexpand(self, rest):
        self._read({rest}, rest)

    def _do_head(self, rest):
        if not rest.isdigit():
            raise SearchError(f"head of how many? {rest}")

    def _do_fillnull(self, rest):
        found = re.fullmatch(r'value="[^"]*" (.+)', rest)
        if not found:
            raise SearchError(f"fillnull without value and fields: {rest}")
        self._read(self._names(found[1]), rest)

    def _do_convert(self, rest):
        found = re.findall(r"(\w+)\((\w+)\)", rest)
        if not found or {function for function, _ in found} != {"ctime"}:
            raise SearchError(f"not understood: convert {rest}")
        self._read({name for _, name in found}, rest)

    def _do_append(self, rest):
        if not (rest.startswith("[") and rest.endswith("]")):
            raise SearchError(f"append without brackets: {rest}")
        inner = Search(rest[1:-1].strip(), self._known)
        self.fields = (self.fields or set()) | (inner.fields or set())


def parts_of(text):
    """What commas part, those in brackets and quotes left out."""
    parts, depth, quote, start = [], 0, False, 0
    for at, sign in enumerate(text):
        if sign == '"' and text[at - 1] != "\\":
            quote = not quote
        elif not quote and sign in "([":
            depth += 1
        elif not quote and sign in ")]":
            depth -= 1
        elif not quote and not depth and sign == ",":
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()]


__all__ = ["FUNCTIONS", "Search", "SearchError", "expand", "pipeline"]
