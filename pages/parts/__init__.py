"""Parts that several pages are made of; the only place, besides pages and app.py, that knows streamlit."""
