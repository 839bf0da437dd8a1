"""The policy of the Lambda runtime: what the managed Python runtime does, in Python, frozen into the executable.

main() is the whole story; each module beside it holds one part of it. Nothing here imports logging, json, re,
traceback, typing, collections, threading or os before a handler does, or before there is an error to describe:
what is imported here is paid for at every cold start.
"""


def main(handler, site_folders, customized):
    """Runs for ever. handler: the configured handler string or None; site_folders: folders with .pth files;
    customized: whether there is a sitecustomize module to import."""
    from make_runtime import loop, startup

    startup.prepare(site_folders, customized)
    loop.run(handler)
