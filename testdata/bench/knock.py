"""Starts gilknocker's thread in this process if the environment asks for it (GILSCOPE_BENCH_KNOCK=1): that tool cannot
be attached from outside."""
import os


def start_if_asked():
    """Returns what must be kept for as long as the thread shall knock."""
    if os.environ.get("GILSCOPE_BENCH_KNOCK") != "1":
        return None
    import gilknocker

    knocker = gilknocker.KnockKnock(polling_interval_micros=1000)
    knocker.start()
    return knocker
