"""Checks: limits on the numbers of a report, judged against a baseline with their uncertainty.

Reports in, verdicts out; never torch.

    limit         METRIC[SELECTION]@REDUCTION RELATION, from its text
    selection     which entries of a series it is on
    reading       the quantities that a limit is on, off the reports of one side
    reduction     many steps as one number, with its error
    error_kinds   what the error of a metric is
    quantity      one number, with a sample for each report
    tensor_shapes of the tensor that an entry is about
    training_end  where a training stopped, and which part of it a step is
    origins       which training each report came from
    pairing       the two sides of each check
    comparable    why two of them must not be compared
    settled       what is decided before any statistics
    cases         a pair as the numbers that a test needs
    significance  the tests of each case
    permutations  reports exchanged in all ways
    joint         one p for many checks by exchanging whole reports
    correction    p over all cases together
    deciding      a verdict and a sentence for each case
    sentences     their words
    verdict       one check, and all of them together
    judging       all of this for reports, a baseline and limits
    baseline      the quantities of one side as a file
    stored        what stands in that file
    configuration the limits of a project, and those that hold without one
"""
