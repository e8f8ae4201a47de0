"""`embedcli eval bias`."""

from typing import Annotated, TypeAlias

import typer

from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups

TestFiles: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Association tests as JSON: targ1, targ2, attr1, attr2."),
]


@with_groups
def bias(
    paths: TestFiles,
    encoding: EncodeOptions = EncodeOptions(),
    report: ReportOptions = ReportOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Does an encoder tie words to attributes? WEAT and SEAT, beside what unrelated words reach.

    \b
    embedcli eval bias weat1.jsonl sent-weat1.jsonl
    embedcli eval bias tests/*.jsonl -m static --json
    embedcli eval bias weat3.jsonl --fail-under 'p control=0.05'

    d: standard deviations between the groups, -2 to 2. control |d|: what 95 % of pairs of unrelated groups
    (furniture and tools, clothes and shapes) stay below, in the same sentences, with the same attributes.
    p: of random divisions of the targets; p control: of the unrelated groups. p is one-sided, of a d as
    large; p control looks at |d|: a d of -0.8 may have p 0.99 and p control 0.03.

    Limits are for p and p control: the higher, the less is shown. --fail-under 'p control=0.05' holds for
    each test, TEST:METRIC=VALUE for one.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.eval_run import finish_eval, read_gates
    from embedcli.cli.run import Run
    from embedcli.errors import UsageError
    from embedcli.reports import Evaluation
    from embedcli.tasks.evaluate.bias import CAUTION, measure_bias, read_tests
    from embedcli.tasks.evaluate.gates import for_each_system

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    gates = read_gates(report, paths)
    tests = [test for path in paths for test in read_tests(path)]
    names = tuple(test.name for test in tests)
    if len({name.lower() for name in names}) < len(names):
        raise UsageError("two tests have one name", hint="a test is named after its file: give each its own")
    run.counts.read = len(tests)
    measurements = []
    with ExitStack() as stack:
        vectorizer = encoding.open(stack, run, reads_files=True)
        for test in tests:
            run.notice(f"{test.name}: {test.question}")
            found = measure_bias(test, vectorizer.text_vectors, report.seed)
            if found.unknown:
                run.notice(
                    f"{test.name}: {found.unknown} texts were left out: the encoder knows no word of them"
                )
            measurements += found.measurements
    run.notice(CAUTION)
    gates = gates._replace(least=for_each_system(gates.least, names))
    about = {"model": vectorizer.vector_model}
    finish_eval(run, Evaluation("bias", names, "tests", tuple(measurements), about=about), report, gates)
