"""What the programs of ../../bench share: they say "ready", wait for "go", do argv[1] operations in each of argv[2]
threads (or connections), and say in one line of JSON how long it took: wall time, CPU time of the process, both ns,
and how many operations it was."""
import json
import sys
import threading
import time


def wait_for_go():
    """Returns the moment at which the work begins."""
    print("ready", flush=True)
    if sys.stdin.readline() != "go\n":
        sys.exit("told to end before the work")
    return time.monotonic_ns(), time.process_time_ns()


def report(begin, operations):
    wall, cpu = time.monotonic_ns() - begin[0], time.process_time_ns() - begin[1]
    print(json.dumps({"wall_ns": wall, "cpu_ns": cpu, "operations": operations}), flush=True)


def run_threads(work):
    """Measures threads that each call work(operations)."""
    each, count = int(sys.argv[1]), int(sys.argv[2])
    threads = [threading.Thread(target=work, args=(each,)) for _ in range(count)]
    begin = wait_for_go()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report(begin, count * each)
