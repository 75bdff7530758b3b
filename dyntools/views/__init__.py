"""Views: a report as tables, JSON, CSV and figures. They read reports and nothing else."""
