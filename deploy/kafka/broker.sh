#!/bin/sh
# An Apache Kafka of one's own for tests, benches and trying things: one broker in one directory, on 127.0.0.1 only.
#
#   deploy/kafka/broker.sh install                    brings the jars to target/kafka, once
#   deploy/kafka/broker.sh start DIR [KEY=VALUE…]     starts the broker of DIR and prints its address
#   deploy/kafka/broker.sh stop|kill|status DIR       ends it in order, by SIGKILL, says whether it answers
#   deploy/kafka/broker.sh tool CLASS [ARGUMENT…]     runs a tool of Kafka's, org.apache.kafka.tools.TopicCommand say
#
# A new DIR is formatted and gets two free ports. An old one keeps its data, its ports and its settings (KEY=VALUE, as
# in server.properties), so a broker that was killed comes back as itself. DIR/pid, DIR/bootstrap (host:port) and
# DIR/log are there to be read.
#
# KAFKA_HEAP   the broker's heap (1g)
# KAFKA_JVM    more options for its JVM
# KAFKA_WAIT   how many seconds a start may take (60)
# KAFKA_OWNER  a process id: when that process is gone, the broker is killed too
# KAFKA_SECURED  a protocol such as SASL_PLAINTEXT: a new broker listens at one more port, by that protocol, and
#              DIR/secured says where. How it knows its clients is said by KEY=VALUE, as listener.name.secured.…
set -eu

here=$(cd "$(dirname "$0")" && pwd)
home=$(cd "$here/../.." && pwd)/target/kafka
libs=$home/libs
archive=$home/classes.jsa
seconds=${KAFKA_WAIT:-60}

# The serial collector holds the least memory and costs no more processor time than the others under a load. Without
# the optimising compiler 12 million records cost the broker two thirds of the processor time, and the last million of
# them no more than with it. The archive of classes halves the processor time of a start; a JVM that cannot use it goes
# on without.
jvm="-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true
  -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true
  -Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX"
classes="-XX:SharedArchiveFile=$archive -Xshare:auto"

# Ports below those that the system gives to outgoing connections. Such a connection could take the port of a broker
# that was killed, and a client that is trying to come back could find itself there.
first_port=20000
ports=12000

fail() {
    echo "broker: $*" >&2
    exit 1
}

# --- The jars -------------------------------------------------------------------------------------------------------

installed() {
    cmp -s "$here/pom.xml" "$home/pom.xml"
}

install() {
    installed && return
    "$here/../needs.sh" java maven
    mkdir -p "$home"
    # One at a time; who had to wait finds it done. The lock ends with its process, however that ends.
    (
        flock 9
        installed && exit
        echo "broker: bringing Apache Kafka to $home" >&2
        rm -rf "$libs" "$archive" "$home/pom.xml"
        mvn --batch-mode --quiet --file "$here/pom.xml" package "-Dlibs=$libs" "-Dwork=$home/maven" >&2 9>&- ||
            fail "Maven could not bring the jars (see above)"
        make_archive
        cp "$here/pom.xml" "$home/pom.xml.new"
        mv "$home/pom.xml.new" "$home/pom.xml"
    ) 9>"$home/lock"
}

# The classes that a start loads, parsed once and for all. Without them everything works, only slower.
make_archive() {
    dir=$home/first
    rm -rf "$dir" "$archive.new"
    (
        classes="-XX:ArchiveClassesAtExit=$archive.new -Xlog:cds=off"
        start
        stop
    ) >/dev/null 9>&- || fail "Kafka was brought and does not start"
    [ -s "$archive.new" ] && mv "$archive.new" "$archive"
    rm -rf "$dir"
}

# --- The broker of one directory ------------------------------------------------------------------------------------

# Whether the process of DIR/pid is there, and is this broker rather than a later process with the same id.
running() {
    [ -s "$dir/pid" ] || return 1
    pid=$(cat "$dir/pid")
    { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qxF "$dir/server.properties"
}

# Waits until the broker says that it is a member of its own cluster: a Metadata request (version 4, no topics) that
# is answered with at least one broker. Ends early when the process does.
answers() { # seconds
    perl -MIO::Socket::INET -e '
        my ($address, $pid, $seconds) = @ARGV;
        my $end = time + $seconds;
        while (1) {
            if (my $socket = IO::Socket::INET->new(PeerAddr => $address, Timeout => 1)) {
                my $request = pack("nnNn/a*NC", 3, 4, 1, "broker.sh", 0, 0);
                local $SIG{ALRM} = sub { shutdown($socket, 2) };
                alarm 2;
                $socket->syswrite(pack("N/a*", $request));
                my $got = $socket->read(my $answer, 16);
                alarm 0;
                exit 0 if $got == 16 && unpack("x12N", $answer) > 0;
            }
            exit 1 if time >= $end || !kill(0, $pid);
            select(undef, undef, undef, 0.05);
        }' "$(cat "$dir/bootstrap")" "$(cat "$dir/pid")" "$1"
}

free_port() { # a port that will not do
    while :; do
        port=$((first_port + $(od -An -N2 -tu2 /dev/urandom) % ports))
        [ "$port" = "$1" ] && continue
        grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$port") " /proc/net/tcp /proc/net/tcp6 2>/dev/null || break
    done
    echo "$port"
}

settings() { # KEY=VALUE…
    port=$(free_port 0)
    controller=$(free_port "$port")
    secured=
    protocol=
    if [ -n "${KAFKA_SECURED:-}" ]; then
        secured=$(free_port "$port")
        while [ "$secured" = "$controller" ]; do secured=$(free_port "$port"); done
        echo "127.0.0.1:$secured" >"$dir/secured"
        secured=",SECURED://127.0.0.1:$secured"
        protocol=",SECURED:$KAFKA_SECURED"
    fi
    echo "127.0.0.1:$port" >"$dir/bootstrap"
    cat >"$dir/server.properties.new" <<END
process.roles=broker,controller
node.id=1
listeners=BROKER://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller$secured
advertised.listeners=BROKER://127.0.0.1:$port$secured
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT$protocol
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$controller
log.dirs=$dir/data

# One broker, and topics of Kafka's own that are made in a moment.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
auto.create.topics.enable=false
message.max.bytes=8388608
log.cleaner.dedupe.buffer.size=33554432

# Tests do not wait: for members that might still come, for sessions of those that were killed (the broker's own among
# them: at the default of 9 s it comes back 13 s after a SIGKILL), for transactions that nobody ends.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=200
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
END
    for setting in "$@"; do
        case $setting in
            ?*=*) echo "$setting" >>"$dir/server.properties.new" ;;
            *) fail "\`$setting\` is not KEY=VALUE" ;;
        esac
    done
    mv "$dir/server.properties.new" "$dir/server.properties"
}

start() { # KEY=VALUE…
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    if running; then
        [ $# = 0 ] || fail "the broker of $dir is running; its settings can only be given to a new one"
    else
        if [ ! -e "$dir/server.properties" ]; then
            settings "$@"
        elif [ $# != 0 ]; then
            fail "$dir is not new; its settings are in $dir/server.properties"
        fi
        launch
    fi
    answers "$seconds" && cat "$dir/bootstrap" && return
    why="does not answer after $seconds s"
    running || why="ended"
    kill_it
    echo "broker: the broker of $dir $why. The end of $dir/log:" >&2
    tail -n 40 "$dir/log" >&2
    exit 1
}

launch() {
    # shellcheck disable=SC2086 # The options are words on purpose.
    if [ ! -e "$dir/data/meta.properties" ]; then
        # A cluster's id is 16 random bytes in base64 for URLs, and may not begin with a dash.
        cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=')
        java $jvm -cp "$libs/*" kafka.tools.StorageTool format --standalone --cluster-id "$cluster" \
            --config "$dir/server.properties" >"$dir/log" 2>&1 || {
            echo "broker: $dir could not be formatted:" >&2
            tail -n 40 "$dir/log" >&2
            exit 1
        }
    fi
    # shellcheck disable=SC2086
    nohup java "-Xmx${KAFKA_HEAP:-1g}" $jvm $classes ${KAFKA_JVM:-} -cp "$libs/*" kafka.Kafka "$dir/server.properties" \
        </dev/null >>"$dir/log" 2>&1 &
    pid=$!
    echo "$pid" >"$dir/pid"
    trap 'kill -9 "$pid"; exit 1' INT TERM
    [ -z "${KAFKA_OWNER:-}" ] && return
    # In a shell of its own that holds none of ours open: who reads what this script prints waits for their end.
    (guard "$KAFKA_OWNER") </dev/null >/dev/null 2>&1 &
}

guard() { # the owner's process id
    trap '' INT HUP
    trap - TERM
    started=$pid
    # The process is there before it has become the JVM.
    while kill -0 "$started"; do
        kill -0 "$1" || kill -9 "$started"
        sleep 1
    done
}

# Whether nothing is left of the process: no thread of it, which could hold its port and its files open. One that its
# parent has not asked after remains as a name, and as a single thread.
ended() {
    [ -e "/proc/$pid" ] || return 0
    [ "$(sed -n 's/^State:[^A-Z]*\(.\).*/\1/p; s/^Threads:[^0-9]*//p' "/proc/$pid/status" 2>/dev/null | tr -d '\n')" = Z1 ]
}

gone() { # seconds to wait for it
    tenths=$(($1 * 10))
    until ended; do
        [ "$tenths" -gt 0 ] || return 1
        tenths=$((tenths - 1))
        sleep 0.1
    done
}

kill_it() {
    running || return 0
    kill -9 "$pid"
    gone 10 || fail "process $pid does not end"
}

stop() {
    running || return 0
    kill "$pid"
    gone 30 || kill_it
}

status() {
    running || fail "the broker of $dir is not running"
    answers 5 || fail "the broker of $dir, process $pid, does not answer"
    echo "process $pid answers at $(cat "$dir/bootstrap")"
}

# --- What was asked for ---------------------------------------------------------------------------------------------

usage() {
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -gt 0 ] || usage
what=$1
shift
case $what in
    start | stop | kill | status)
        [ $# -gt 0 ] || usage
        dir=$1
        shift
        # An absolute path, however the directory is written: the broker is known by it.
        [ ! -d "$dir" ] || dir=$(cd "$dir" && pwd)
        ;;
esac
case $what in
    install) install ;;
    start) install && start "$@" ;;
    stop) stop ;;
    kill) kill_it ;;
    status) status ;;
    tool)
        install
        # shellcheck disable=SC2086
        exec java $jvm $classes -cp "$libs/*" "$@"
        ;;
    *) usage ;;
esac
