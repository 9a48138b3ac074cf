"""OpenAI's requests and responses as typed models, with this project's extensions; no routes and no engine in sight."""
