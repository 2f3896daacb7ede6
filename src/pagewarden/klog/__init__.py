"""Kernel log lines: where they come from, their prefixes, and the memory reports among them.

`sources`, `journal` and `kmsg` give the reports of a log; `group.Grouper` takes lines one by one; `repeats` joins
reports that say the same. The types are in `types`.
"""
