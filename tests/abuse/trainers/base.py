"""What every burglar here needs: say that training starts, try something, write down what came of it. A frozen file."""

import json
import os
import signal
import time

OUT = os.environ["AUTORESEARCH_OUT"]
RUN = os.path.dirname(OUT)  # the folder of this run ...
STATE = os.path.abspath(os.path.join(RUN, "..", "..", "..", ".."))  # ... in the lab's state folder
DATA = os.environ["AUTORESEARCH_DATA"]
done = []


def start():
    """The mark from which the budget counts."""
    os.write(int(os.environ["AUTORESEARCH_MARKS"]), b'{"event": "start"}\n')


def attempt(name, act):
    """Try a forbidden act; if nothing stops it, it goes on the list."""
    try:
        act()
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}", flush=True)
        return
    print(f"{name}: DONE", flush=True)
    done.append(name)


def finish(answer=0.5):
    """Leave an honest artifact and the list of what worked."""
    with open(os.path.join(OUT, "answer.txt"), "w") as file:
        file.write(str(answer))
    with open(os.path.join(OUT, "loot.json"), "w") as file:
        json.dump(done, file)


def burn(seconds):
    """Use the processor for so long on the wall."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def ignore_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
