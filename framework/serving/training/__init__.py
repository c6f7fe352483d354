"""Contests held by the model server: asked for over HTTP, held in processes of their own, followed while they run."""
