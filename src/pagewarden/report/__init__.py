"""Renderers: values in, text or JSON out. No decisions are taken here."""
