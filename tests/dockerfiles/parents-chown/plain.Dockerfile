FROM base
COPY --from=plain --chown=app:staff one /one/
COPY --from=plain --chown=7:8 one /two/
