FROM base
COPY --from=plain one /one/
