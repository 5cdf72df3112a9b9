FROM base
COPY --from=plain one /one/
COPY --from=plain two /two/
COPY --from=plain three /three/
COPY --from=plain four /four/
