"""What a running server does to the log, without running one."""


def checkpointed(home):
    """Sign a checkpoint over what is in the log, as the server does each second."""
    from api import bootstrap
    from api.settings import load
    from vault import evidence

    settings = load()
    vault = bootstrap.open_from(settings)
    try:
        evidence.sign_checkpoints(vault, settings.checkpoint_file)
    finally:
        vault.close()
