FROM base
COPY . /app/
