FROM base AS one
COPY dir /x/y/z
FROM base
COPY --from=one /x/y/z/f /out/x/y/z/f
COPY --from=one /opt/data/sub /out/opt/data/sub
COPY --from=one /x/y /pivot/y
