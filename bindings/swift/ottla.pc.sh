#!/bin/bash
# Prints ottla.pc for a native library in this folder: `ottla.pc.sh LIBDIR`.
set -euo pipefail
cat <<PC
libdir=$1

Name: ottla
Description: The native library of Ottla's Swift package
Version: 0.1.0
Libs: -L\${libdir} -lottla_swift
PC
