# airloom as one static binary, run by nobody in particular. docker build -t airloom .
FROM node:22-bookworm-slim AS pages
WORKDIR /src/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci
COPY web ./
RUN npm run build

FROM golang:1.26-bookworm AS binary
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY internal internal
COPY services services
COPY web/*.go web/
COPY --from=pages /src/web/app/dist web/app/dist
ARG VERSION=
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /airloom ./cmd/airloom

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=binary /airloom /usr/local/bin/airloom
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/airloom"]
