"""What came to a server that lived several times, held against what was sent to it in order."""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Loss:
    """Events `first` to `last`, which never came; `explained` if the server broke between the one
    before them and the one after them."""

    first: int
    last: int
    explained: bool

    @property
    def events(self):
        return self.last - self.first + 1


class Arrivals:
    """`sent` are the texts in the order of their sending, every one different; `lives` the texts
    that came in each life of the server."""

    def __init__(self, sent, lives):
        self._numbers = {text: number for number, text in enumerate(sent)}
        self._first_life = {}
        self._last_life = {}
        self._times = Counter()
        self.strangers = []
        for life, texts in enumerate(lives):
            for text in texts:
                self._arrived(text, life)
        self._last_of_lives = len(lives) - 1

    @property
    def different(self):
        return len(self._times)

    @property
    def repeated(self):
        """How many messages were not the first of their event."""
        return self._times.total() - self.different

    def losses(self):
        """Each run of events that never came."""
        missing = [number for number in self._numbers.values() if number not in self._times]
        runs = []
        for number in missing:
            if runs and runs[-1][-1] == number - 1:
                runs[-1][-1] = number
            else:
                runs.append([number, number])
        return [Loss(first, last, self._broke_around(first, last)) for first, last in runs]

    def _arrived(self, text, life):
        number = self._numbers.get(text)
        if number is None:
            self.strangers.append(text)
            return
        self._times[number] += 1
        self._first_life.setdefault(number, life)
        self._last_life[number] = life

    def _broke_around(self, first, last):
        before = self._first_life.get(first - 1, 0)
        after = self._last_life.get(last + 1, self._last_of_lives)
        return before < after
