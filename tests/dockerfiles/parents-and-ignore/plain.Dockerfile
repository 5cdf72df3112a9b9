FROM base
COPY --from=plain app /app/
