"""Threads that each signal a condition variable of their own argv[1] times, keeping the GIL: detail full has a probe
there, which finds that it is no business of its own. What that costs is the least that any probe costs."""
import ctypes

import fixedwork


def signal_own(times):
    signal = ctypes.PyDLL(None).pthread_cond_signal
    own = ctypes.byref(ctypes.create_string_buffer(48))
    for _ in range(times):
        signal(own)


fixedwork.run_threads(signal_own)
