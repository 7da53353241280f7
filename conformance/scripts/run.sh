#!/usr/bin/env bash
# Runs ottla-conformance against a broker, keeps the reports, and shows the one in Markdown as the
# summary of a GitHub job. Its exit status is that of the program.
#
#   CONFORMANCE_BINARY      the program; the one on the PATH where this is empty
#   CONFORMANCE_BOOTSTRAP   host:port, more of them separated by commas
#   CONFORMANCE_PROFILE     profiles, separated by commas; all where this is empty
#   CONFORMANCE_BASELINE    a file of known failures, if any
#   CONFORMANCE_REPORT      the folder for report.json, report.xml and report.md
#   CONFORMANCE_NAME        what reports call the broker; its address where this is empty
set -euo pipefail

# GitHub takes no summary of more than 1 MiB.
SUMMARY_BYTES=${SUMMARY_BYTES:-1000000}

die() { echo "run: $*" >&2; exit 2; }

binary=${CONFORMANCE_BINARY:-ottla-conformance}
folder=${CONFORMANCE_REPORT:-conformance-report}
[ -n "${CONFORMANCE_BOOTSTRAP:-}" ] || die "no bootstrap is given: expected host:port"
command -v "$binary" >/dev/null || die "$binary is no program: run obtain.sh first"
mkdir -p "$folder"
rm -f "$folder"/report.{json,xml,md}

arguments=(run --bootstrap "$CONFORMANCE_BOOTSTRAP")
arguments+=(--report "json=$folder/report.json,junit=$folder/report.xml,md=$folder/report.md")
if [ -n "${CONFORMANCE_PROFILE:-}" ]; then arguments+=(--profile "$CONFORMANCE_PROFILE"); fi
if [ -n "${CONFORMANCE_BASELINE:-}" ]; then arguments+=(--baseline "$CONFORMANCE_BASELINE"); fi
if [ -n "${CONFORMANCE_NAME:-}" ]; then arguments+=(--name "$CONFORMANCE_NAME"); fi

status=0
"$binary" "${arguments[@]}" || status=$?

if [ -n "${GITHUB_OUTPUT:-}" ]; then
  printf 'status=%s\nreport=%s\n' "$status" "$folder" >> "$GITHUB_OUTPUT"
fi
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
  summary=$folder/report.md
  if [ ! -s "$summary" ]; then
    echo "The conformance suite could not run: status $status." >> "$GITHUB_STEP_SUMMARY"
  elif [ "$(wc -c < "$summary")" -le "$SUMMARY_BYTES" ]; then
    cat "$summary" >> "$GITHUB_STEP_SUMMARY"
  else
    # Whole lines only.
    head -c "$SUMMARY_BYTES" "$summary" | sed '$d' >> "$GITHUB_STEP_SUMMARY"
    printf '\nThe rest is in report.md.\n' >> "$GITHUB_STEP_SUMMARY"
  fi
fi
exit "$status"
