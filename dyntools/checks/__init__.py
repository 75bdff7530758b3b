"""Checks: limits on the numbers of a report, judged against a baseline with their uncertainty.

Reports in, verdicts out; never torch.

    limit        METRIC[SELECTION]@REDUCTION RELATION, from its text
    reading      the quantities that a limit is on, off the reports of one side
    comparable   why two of them must not be compared
    significance the tests, and their correction over all checks
    judging      one verdict and one sentence a check
    baseline     the quantities of one side as a file
    configuration the limits of a project, and those that hold without one
"""
