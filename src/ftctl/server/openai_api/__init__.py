"""The routes of OpenAI's API that the server answers, one file a noun."""
