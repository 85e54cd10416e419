FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
# Crates and compiled dependencies stay in the builder's cache; only the program, without symbols, and the shared libraries that
# it needs are copied into the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --locked --release --bin sarban \
    && install -D target/release/sarban /image/usr/local/bin/sarban \
    && strip --strip-all /image/usr/local/bin/sarban \
    && install -d /image/lib /image/lib64 \
    && ldd /image/usr/local/bin/sarban | grep -o '/lib[^ ]*' | xargs -I{} install -D {} /image{} \
    && install -d -m 0700 /image/owned/data

# This base image has certificate authorities and time zones, but no shell and no package manager. Its user `nonroot` is 65532.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /image/lib /lib
COPY --from=build /image/lib64 /lib64
COPY --from=build /image/usr/local/bin/sarban /usr/local/bin/sarban
# The folder around it, because the mode of a copied folder itself gets lost.
COPY --from=build --chown=65532:65532 /image/owned /
USER 65532:65532

# The database (unless set otherwise) and the spool are in the working folder. Losing either loses data.
WORKDIR /data
ENV DATA_DIR=/data
VOLUME /data

EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["sarban", "healthcheck"]
ENTRYPOINT ["sarban"]
CMD ["serve"]
