"""Runs beside runs, theory and pictures, each under its conditions."""
