"""Horovod on Ray: ranks as actors, a fixed number or elastic, and their checkpoints. The way in is `on_horovod.run`."""
