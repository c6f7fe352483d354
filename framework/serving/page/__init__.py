"""The page for people, at `/`: what is served, tried out, explained and watched in a browser.

It is rendered here and fetches nothing from elsewhere; without scripts it works too, a page at a time.
"""
