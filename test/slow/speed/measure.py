# Compares interpreters with a subset of pyperformance, interleaved, on a machine that others use too. Not a test: it
# prints figures (docs/profiles.md has ours) and judges nothing. Needs pyperformance and pyperf in a folder:
#
#   pip install --target deps pyperf pyperformance     (with any Python; both are plain Python)
#   python3 measure.py --deps deps --rounds 3 debian=/usr/bin/python3.11 ours=/opt/lang/bin/python3.13 ...
#
# Time is CPU time of the benchmark's process, because wall time on a shared machine measures the neighbours. Every
# round runs every benchmark once with every interpreter, one after the other; the least of all values counts. The
# full suite needs a machine of its own: `pyperformance run --python <interpreter>`.
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

# Without third-party packages, spread over what pyperformance calls apps, math, regex, serialize and python.
SUBSET = [
    *("async_tree", "chaos", "comprehensions", "coroutines", "deepcopy", "deltablue", "fannkuch", "float", "generators"),
    *("go", "hexiom", "json_dumps", "json_loads", "logging", "mdp", "meteor_contest", "nbody", "nqueens", "pickle"),
    *("pidigits", "pyflate", "raytrace", "regex_compile", "regex_effbot", "richards", "scimark", "spectral_norm"),
    *("sqlite_synth", "telco", "typing_runtime_protocols", "unpack_sequence", "xml_etree"),
]

ARGUMENTS = {"async_tree": ["none"], "pickle": ["pickle"]}

CLOCK = "import time\ntime.perf_counter = time.process_time\n"

# What a function on Lambda does all day, in one and in two threads of one process.
THREADS = """
import sys, threading, time
sys.argv = ["function.py", "1"]
sys.path.insert(0, {folder!r})
import function

def work():
    for _ in range({rounds}):
        function.events(1)
        function.web(1)
        function.sdk_calls(1)

work()
for count in (1, 2):
    best = math = None
    values = []
    for _ in range(3):
        threads = [threading.Thread(target=work) for _ in range(count)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        values.append(count / (time.perf_counter() - start))
    print(count, max(values))
"""


def run_benchmark(python, script, arguments, environment):
    with tempfile.TemporaryDirectory() as folder:
        result = os.path.join(folder, "result.json")
        options = ["--processes", "1", "--values", "4", "--warmups", "1", "--min-time", "0.05", "--quiet"]
        command = [*python, script, *options, "--inherit-environ", ",".join(environment), "-o", result, *arguments]
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{script} with {python}: {done.stderr[-2000:]}")
        with open(result) as file:
            suite = json.load(file)
        values = {}
        for benchmark in suite["benchmarks"]:
            name = benchmark.get("metadata", suite.get("metadata", {})).get("name") or suite["metadata"]["name"]
            values[name] = min(value for run in benchmark["runs"] for value in run.get("values", ()) or [math.inf])
        return values


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--deps", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="benchmarks, separated by commas")
    parser.add_argument("--json", help="file for every value measured")
    parser.add_argument("--threads", help="folder of function.py: measure its work in one and two threads instead")
    parser.add_argument("interpreters", nargs="+", metavar="NAME=COMMAND")
    options = parser.parse_args()
    interpreters = {name: command.split() for name, command in (one.split("=", 1) for one in options.interpreters)}

    if options.threads:
        best = {}
        for _ in range(options.rounds):
            for name, python in interpreters.items():
                program = THREADS.format(folder=os.path.abspath(options.threads), rounds=4)
                output = subprocess.run([*python, "-c", program], capture_output=True, text=True, check=True).stdout
                for line in output.splitlines():
                    count, rate = line.split()
                    key = name, int(count)
                    best[key] = max(best.get(key, 0), float(rate))
        for name in interpreters:
            one, two = best[name, 1], best[name, 2]
            print(f"{name:24} {one:8.2f}/s in one thread {two:8.2f}/s in two ({two / one:.2f}x)")
        return

    deps = os.path.abspath(options.deps)
    folder = os.path.join(deps, "pyperformance", "data-files", "benchmarks")
    names = options.only.split(",") if options.only else SUBSET
    best = {name: {} for name in interpreters}
    with tempfile.TemporaryDirectory() as clock:
        with open(os.path.join(clock, "sitecustomize.py"), "w") as file:
            file.write(CLOCK)
        environment = {"PYTHONPATH": f"{clock}:{deps}", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        for number in range(options.rounds):
            for benchmark in names:
                script = os.path.join(folder, f"bm_{benchmark}", "run_benchmark.py")
                for name, python in interpreters.items():
                    for key, value in run_benchmark(python, script, ARGUMENTS.get(benchmark, []), environment).items():
                        best[name][key] = min(value, best[name].get(key, math.inf))
                print(f"round {number + 1}: {benchmark}", file=sys.stderr)
                if options.json:
                    with open(options.json, "w") as file:
                        json.dump(best, file, indent=1)
            report(best)


def report(best):
    first, *others = best
    common = sorted(set.intersection(*(set(values) for values in best.values())))
    print(f"{'benchmark':32} {first:>12}" + "".join(f"{name:>16}" for name in others))
    for key in common:
        line = f"{key:32} {best[first][key] * 1000:9.3f} ms"
        print(line + "".join(f"{best[first][key] / best[name][key]:15.2f}x" for name in others))
    means = [
        math.exp(sum(math.log(best[first][key] / best[name][key]) for key in common) / len(common)) for name in others
    ]
    print(f"{'geometric mean':32} {'1.00x':>12}" + "".join(f"{mean:15.2f}x" for mean in means), flush=True)


main()
