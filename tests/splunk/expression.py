"""Splunk's eval expressions: parsed, asked for the fields that they name, and computed.

As much of the language as the add-on uses; anything else is an error, never a guess. A value is
None (null), text, a number, a truth, or a list (multivalue). Fields that Splunk extracts are text.
"""

import math
import re
from datetime import datetime

TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*") | (?P<quoted>'[^']+')
    | (?P<number>\d+(?:\.\d+)?) | (?P<name>[A-Za-z_][\w.]*)
    | (?P<sign>==|!=|<=|>=|[-+*/%.=<>(),]) )""",
    re.VERBOSE,
)
COMPARISONS = {"=", "==", "!=", "<", ">", "<=", ">="}


class ExpressionError(ValueError):
    pass


class Expression:
    """One parsed expression."""

    def __init__(self, text):
        self._text = text
        self._tokens = list(tokens(text))
        self._at = 0
        self.fields = set()
        self._compute = self._either()
        if self._at != len(self._tokens):
            raise ExpressionError(f"{self._peek()!r} is not expected in {text}")

    def __call__(self, event):
        return self._compute(event)

    # The parser: each level gives a function of the event.

    def _either(self):
        return self._words("OR", self._both, lambda one, other: truth(one) or truth(other))

    def _both(self):
        return self._words("AND", self._not, lambda one, other: truth(one) and truth(other))

    def _words(self, word, level, join):
        result = level()
        while self._is_word(word):
            self._at += 1
            result = self._joined(result, level(), join)
        return result

    def _joined(self, one, other, join):
        return lambda event: join(one(event), other(event))

    def _not(self):
        if self._is_word("NOT"):
            self._at += 1
            inner = self._not()
            return lambda event: not truth(inner(event))
        return self._comparison()

    def _comparison(self):
        result = self._sum()
        if self._peek()[1] in COMPARISONS and self._peek()[0] == "sign":
            sign = self._next()[1]
            other = self._sum()
            left = result
            return lambda event: compare(sign, left(event), other(event))
        return result

    def _sum(self):
        return self._chain(("+", "-", "."), self._product)

    def _product(self):
        return self._chain(("*", "/", "%"), self._unary)

    def _chain(self, signs, level):
        result = level()
        while self._peek()[0] == "sign" and self._peek()[1] in signs:
            sign = self._next()[1]
            result = self._arithmetic(sign, result, level())
        return result

    def _arithmetic(self, sign, one, other):
        return lambda event: arithmetic(sign, one(event), other(event))

    def _unary(self):
        if self._peek() == ("sign", "-"):
            self._at += 1
            inner = self._unary()
            return lambda event: arithmetic("-", 0, inner(event))
        return self._atom()

    def _atom(self):
        kind, value = self._next()
        if kind == "text":
            text = unescaped(value[1:-1])
            return lambda event: text
        if kind == "number":
            number = float(value) if "." in value else int(value)
            return lambda event: number
        if (kind, value) == ("sign", "("):
            inner = self._either()
            self._expect(")")
            return inner
        if kind == "name" and self._peek() == ("sign", "("):
            return self._call(value)
        if kind == "quoted":
            return self._field(value[1:-1])
        if kind == "name" and value.upper() not in ("AND", "OR", "NOT"):
            return self._field(value)
        raise ExpressionError(f"{value!r} is not expected in {self._text}")

    def _field(self, name):
        self.fields.add(name)
        return lambda event: event.get(name)

    def _call(self, name):
        self._at += 1
        arguments = []
        while self._peek() != ("sign", ")"):
            arguments.append(self._either())
            if self._peek() != ("sign", ")"):
                self._expect(",")
        self._at += 1
        if name not in FUNCTIONS:
            raise ExpressionError(f"the function {name} is not known, in {self._text}")
        function, least, most = FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            raise ExpressionError(f"{name} with {len(arguments)} arguments, in {self._text}")
        return lambda event: function(*[lambda a=a: a(event) for a in arguments])

    def _is_word(self, word):
        kind, value = self._peek()
        return kind == "name" and value.upper() == word

    def _peek(self):
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "the end")

    def _next(self):
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, sign):
        if self._next() != ("sign", sign):
            raise ExpressionError(f"{sign!r} is missing in {self._text}")


def tokens(text):
    at = 0
    while text[at:].strip():
        found = TOKEN.match(text, at)
        if not found:
            raise ExpressionError(f"cannot be read: {text[at:]}")
        at = found.end()
        yield found.lastgroup, found[found.lastgroup]


def unescaped(text):
    # A backslash before anything else stays, so that patterns need no second one.
    return re.sub(r'\\(["\\])', r"\1", text)


def truth(value):
    return value is True


def number(value):
    """What Splunk takes for a number, else None."""
    if isinstance(value, bool) or value is None or isinstance(value, list):
        return None
    if isinstance(value, (int, float)):
        return value
    try:
        read = float(value)
    except ValueError:
        return None
    if not math.isfinite(read):
        return None
    return int(value) if re.fullmatch(r"-?\d+", value) else read


def text_of(value):
    return value if isinstance(value, str) else str(value)


def compare(sign, one, other):
    if one is None or other is None:
        return None
    both = number(one), number(other)
    left, right = both if None not in both else (text_of(one), text_of(other))
    return {
        "=": left == right, "==": left == right, "!=": left != right,
        "<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right,
    }[sign]  # fmt: skip


def arithmetic(sign, one, other):
    if one is None or other is None:
        return None
    if sign == "." or (sign == "+" and None in (number(one), number(other))):
        return text_of(one) + text_of(other)
    left, right = number(one), number(other)
    if None in (left, right) or (sign in "/%" and right == 0):
        return None
    return {
        "+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right,
        "/": lambda: left / right, "%": lambda: left % right,
    }[sign]()  # fmt: skip


# The functions. Their arguments come uncomputed, since `if`, `case` and `coalesce` stop early.


def case(*arguments):
    for condition, value in zip(arguments[::2], arguments[1::2], strict=True):
        if truth(condition()):
            return value()
    return None


def coalesce(*arguments):
    return next((value for argument in arguments if (value := argument()) is not None), None)


def strict(function):
    """For functions that give null where one of their arguments is null."""

    def call(*arguments):
        values = [argument() for argument in arguments]
        return None if None in values else function(*values)

    return call


def replace(value, pattern, by):
    return re.sub(pattern, by, text_of(value))


def split(value, by):
    return single(text_of(value).split(by))


def single(values):
    """A multivalue field with one value is that value, one with none is null."""
    return None if not values else values[0] if len(values) == 1 else values


def many(value):
    return value if isinstance(value, list) else [] if value is None else [value]


def mvindex(values, at):
    values = many(values)
    return values[at] if -len(values) <= at < len(values) else None


def mvzip(one, other, by=","):
    return single([f"{left}{by}{right}" for left, right in zip(many(one), many(other))])


def strptime(text, form):
    form = form.replace("%:z", "%z")
    try:
        return datetime.strptime(text, form).timestamp()
    except ValueError:
        return None


FUNCTIONS = {
    "if": (lambda c, a, b: a() if truth(c()) else b(), 3, 3),
    "case": (case, 2, 100),
    "coalesce": (coalesce, 1, 100),
    "null": (lambda: None, 0, 0),
    "now": (lambda: 0, 0, 0),
    "isnull": (lambda a: a() is None, 1, 1),
    "isnotnull": (lambda a: a() is not None, 1, 1),
    "isnum": (lambda a: number(a()) is not None, 1, 1),
    "isstr": (lambda a: isinstance(value := a(), str) and number(value) is None, 1, 1),
    "match": (strict(lambda a, pattern: re.search(pattern, text_of(a)) is not None), 2, 2),
    "replace": (strict(replace), 3, 3),
    "split": (strict(split), 2, 2),
    "trim": (strict(lambda a: text_of(a).strip()), 1, 1),
    "lower": (strict(lambda a: text_of(a).lower()), 1, 1),
    "len": (strict(lambda a: len(text_of(a))), 1, 1),
    "tonumber": (strict(number), 1, 1),
    "tostring": (strict(lambda a, form="": text_of(a)), 1, 2),
    "mvappend": (lambda *all: single([v for a in all for v in many(a())]), 1, 100),
    "mvdedup": (strict(lambda a: single(list(dict.fromkeys(many(a))))), 1, 1),
    "mvindex": (strict(mvindex), 2, 2),
    "mvcount": (strict(lambda a: len(many(a))), 1, 1),
    "mvzip": (strict(mvzip), 2, 3),
    "strptime": (strict(strptime), 2, 2),
}
