"""What the log leaves out."""

import logging


class BriefRefusals(logging.Filter):
    """Keeps the line of a 403 and drops its traceback: a refusal is no fault."""

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", None) == 403:
            record.exc_info = None
        return True
