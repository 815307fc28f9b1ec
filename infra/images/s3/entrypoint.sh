#!/bin/sh
# Becomes the object store. Its one identity is S3_ACCESS_KEY_ID with S3_SECRET_ACCESS_KEY.
set -eu

umask 077
: "${S3_ACCESS_KEY_ID:?must be set}" "${S3_SECRET_ACCESS_KEY:?must be set}"
cat > /tmp/s3.json <<CONFIG
{
  "identities": [
    {
      "name": "novax",
      "credentials": [{ "accessKey": "$S3_ACCESS_KEY_ID", "secretKey": "$S3_SECRET_ACCESS_KEY" }],
      "actions": ["Admin", "Read", "Write", "List", "Tagging"]
    }
  ]
}
CONFIG
# Masters, volumes and filer talk over the container's own loopback; only the S3 port listens outside.
exec weed server -dir=/var/lib/novax -ip=127.0.0.1 -ip.bind=0.0.0.0 -volume.max=0 -s3 -s3.port=8333 -s3.config=/tmp/s3.json "$@"
