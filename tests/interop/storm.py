"""What happens to one syslog server while events flow to it: stops, restarts, deaths."""

from dataclasses import dataclass
from itertools import count

# What comes between two breaks takes seconds.
PATIENCE_SECONDS = 120
# A look at a file is cheap, and a tenth of the messages comes in less than a second; a question to
# the agent is a process.
LOOK_SECONDS = 0.01
LOOKS_PER_QUESTION = 50


@dataclass(frozen=True)
class Break:
    """When the server has this part of all messages it goes, in order or by a kill, and comes back
    at once or when the agent has noticed."""

    at: float
    kill: bool
    until_noticed: bool


BREAKS = [
    Break(0.10, kill=False, until_noticed=False),
    Break(0.25, kill=True, until_noticed=False),
    Break(0.40, kill=False, until_noticed=True),
    Break(0.55, kill=True, until_noticed=True),
    Break(0.70, kill=True, until_noticed=False),
    Break(0.80, kill=False, until_noticed=False),
]


class Storm:
    """Breaks one receiver, by the number of messages that it has, never by time."""

    def __init__(self, receiver, agent, process, expected):
        self._receiver = receiver
        self._agent = agent
        self._process = process
        self._expected = expected

    def blow(self):
        """Returns when the agent has nothing left for this receiver: how many breaks there were."""
        for done, one in enumerate(BREAKS):
            if not self._comes(lambda: self._receiver.count() >= one.at * self._expected):
                return done
            if one.kill:
                # It dies with something in its hands, however fast it reads.
                self._receiver.freeze()
                self._comes(self._receiver.has_unread)
                self._receiver.kill()
            else:
                self._receiver.stop()
            if one.until_noticed:
                self._comes(self._is_noticed)
            self._receiver.start()
        self._comes(lambda: False)
        return len(BREAKS)

    def _comes(self, condition):
        """Waits for it, and says whether it came before the agent was done with this receiver."""
        looks = count()
        verdict = []

        def is_decided():
            if condition():
                verdict.append(True)
            elif next(looks) % LOOKS_PER_QUESTION == LOOKS_PER_QUESTION - 1 and self._is_over():
                verdict.append(False)
            return verdict

        what = f"progress of {self._receiver.name}, which has {self._receiver.count()} messages"
        return self._process.wait_until(is_decided, what, PATIENCE_SECONDS, LOOK_SECONDS)[0]

    def _is_noticed(self):
        return self._output()["failures"] > 0

    def _is_over(self):
        output = self._output()
        return output["pending_events"] == 0 and output["finished"]["delivered"] >= self._expected

    def _output(self):
        return self._agent.outputs()[self._receiver.name]
