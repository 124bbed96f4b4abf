#!/bin/sh
# Builds the peer if it has not been built since it was changed, and becomes it: the process id stays the same, so CPU time can be read
# from outside. HEAP (2g), GC (G1; or Parallel, Serial, Z) and JAVA_OPTS are for the virtual machine, the arguments for
# the peer; `run.sh --help` lists them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ ! -f "$here/target/peer.jar" ] ||
  [ -n "$(find "$here/src" "$here/pom.xml" -newer "$here/target/peer.jar")" ]; then
  mvn -q -B -f "$here/pom.xml" package >&2
fi
heap=${HEAP:-2g}
# The heap is taken whole and at once, so that it neither grows nor is measured growing. JAVA_OPTS is split on purpose.
# shellcheck disable=SC2086
exec java -Xms"$heap" -Xmx"$heap" -XX:+AlwaysPreTouch "-XX:+Use${GC:-G1}GC" ${JAVA_OPTS:-} \
  -cp "$here/target/peer.jar:$here/target/lib/*" tollgate.peer.Peer --state-dir "$here/target/state" "$@"
