"""Tables: a report as text for a terminal. Each function returns something that rich can print.

All of them choose their columns for the width they are given, replace what the output cannot encode
and never read names from a file as markup.
"""

from dyntools.views.advice import findings
from dyntools.views.metric_table import metric_table
from dyntools.views.omissions import omissions
from dyntools.views.overview import overview
from dyntools.views.summary import summary
from dyntools.views.unanswered import unanswered

__all__ = ["findings", "metric_table", "omissions", "overview", "summary", "unanswered"]
