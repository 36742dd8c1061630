"""What only the chapters use: each module computes, and is its own command.

``python -m coreloss.study.gate`` and its like write the files of ``book/results``;
``python -m coreloss.study.results`` (``make results``) says which of them are up to date.
Nothing outside this folder imports it.
"""
