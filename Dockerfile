FROM rust:1-bookworm AS build
WORKDIR /source
COPY . .
# Crates and compiled dependencies stay in the builder's cache; only the program is copied into the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --locked --release --bin sarban \
    && install -D target/release/sarban /image/usr/local/bin/sarban \
    && install -d -m 0700 /image/data

# This base image has the C library, certificate authorities and time zones, but no shell and no package manager. Its user
# `nonroot` is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image/usr/local/bin/sarban /usr/local/bin/sarban
COPY --from=build --chown=65532:65532 /image/data /data
USER 65532:65532

# The database (unless set otherwise) and the spool are in the working folder. Losing either loses data.
WORKDIR /data
ENV DATA_DIR=/data
VOLUME /data

EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["sarban", "healthcheck"]
ENTRYPOINT ["sarban"]
CMD ["serve"]
