"""`python -m project.cluster`: PostgreSQL, Redis, three processes and nginx, here.

All of it is private to this machine and to `DATA_DIR`/cluster, runs in the foreground
and ends with Ctrl-C. Needs Debian's postgresql, redis-server and nginx.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from string import Template
from urllib import request

import honcho.manager
import psycopg
import redis
from honcho.environ import parse_procfile

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"  # for trying it out; others may come in by docs/deploy.md
FILES = 60_000  # that nginx may have open, two for each connection
READY_WITHIN = 30.0  # seconds
STOP_WITHIN = 12.0  # seconds; a process promises ten
# As Restart=on-abnormal does: one that was killed comes back, a drained one does not.
KEPT_UP = Template(
    "trap exit TERM; while ($command); code=$$?; [ $$code -gt 128 ]; do sleep 1; done;"
    " exit $$code"
)
DEBIANS_POSTGRES = Path("/usr/lib/postgresql")  # its programs are not on the PATH
NGINX = Template("""\
# Written by `make cluster`; docs/deploy.md has one for production.
daemon off;
pid $directory/nginx.pid;
error_log stderr warn;
worker_processes 1;
worker_rlimit_nofile $files;
events { worker_connections $files; }
http {
  access_log off;
  client_body_temp_path $directory/nginx-body;
  proxy_temp_path $directory/nginx-proxy;
  fastcgi_temp_path $directory/nginx-fastcgi;
  uwsgi_temp_path $directory/nginx-uwsgi;
  scgi_temp_path $directory/nginx-scgi;
  map $$http_upgrade $$connection_upgrade { default upgrade; '' close; }
  upstream websockets {
    least_conn;
$servers
  }
  # A page that takes long says nothing of its process.
  upstream pages {
    least_conn;
$never_down
  }
  server {
    listen $host:$port;
    proxy_http_version 1.1;
    proxy_set_header Host $$http_host;
    proxy_set_header X-Forwarded-For $$remote_addr;
    proxy_set_header X-Forwarded-Proto $$scheme;
    proxy_set_header Upgrade $$http_upgrade;
    proxy_set_header Connection $$connection_upgrade;
    proxy_connect_timeout 2s;
    location / {
      proxy_pass http://pages;
      proxy_next_upstream error timeout;
      proxy_next_upstream_tries 2;
      proxy_read_timeout 5s;
    }
    location /ws/ {
      proxy_pass http://websockets;
      proxy_next_upstream error;
      proxy_read_timeout 60s;
    }
  }
}
""")


class Manager(honcho.manager.Manager):
    """Runs what is left when one of the processes has ended."""

    def _any_stopped(self):
        # Asked before it stops all others.
        return self._terminating or self._all_stopped()


class Unready(Exception):
    """The cluster cannot run here; the text says why, and what to do."""


def main():
    """Start everything, run the Procfile until Ctrl-C, and stop everything."""
    try:
        with contextlib.ExitStack() as running:
            run(running)
    except Unready as reason:
        sys.exit(str(reason))


def run(running):
    """The same; `running` ends what was started, the last one first."""
    programs = {
        "postgres": postgres_program("postgres"),
        "redis-server": shutil.which("redis-server"),
        "nginx": shutil.which("nginx") or shutil.which("/usr/sbin/nginx"),
    }
    if missing := [name for name, found in programs.items() if not found]:
        packages = ["postgresql" if name == "postgres" else name for name in missing]
        raise Unready(f"Type: sudo apt-get install {' '.join(packages)}")
    directory = Path(os.environ.get("DATA_DIR") or ROOT / "var").resolve() / "cluster"
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    port = int(os.environ.get("PORT", "8000"))
    _check_free(port)

    database_url = running.enter_context(postgres(directory))
    redis_url = running.enter_context(redis_server(programs["redis-server"], directory))
    ports = free_ports(3)
    running.enter_context(nginx(programs["nginx"], directory, port, ports))
    environment = {
        **os.environ,
        **{f"PORT_{number}": str(p) for number, p in enumerate(ports, 1)},
        "HOST": HOST,
        "SERVER": os.environ.get("SERVER", "uvicorn"),
        "DATA_DIR": str(directory / "data"),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "TRUSTED_PROXIES": HOST,
        "PYTHON": sys.executable,
        "PYTHONUNBUFFERED": "1",
    }
    introduction = threading.Thread(target=introduce, args=(port, ports), daemon=True)
    introduction.start()
    sys.exit(run_procfile(environment))


def introduce(port, ports):
    """Say where the cluster is, as soon as all its processes are there."""
    deadline = time.monotonic() + READY_WITHIN
    for one in ports:
        while time.monotonic() < deadline:
            try:
                # It listens before it is ready, and answers when it is.
                request.urlopen(f"http://{HOST}:{one}/login/", timeout=READY_WITHIN)
                break
            except OSError:
                time.sleep(0.1)
    print(f"The cluster: http://{HOST}:{port}/", flush=True)
    print("Stop it with Ctrl-C.", flush=True)


def run_procfile(environment):
    """Run the processes of the Procfile until Ctrl-C; return the exit code."""
    honcho.manager.KILL_WAIT = STOP_WITHIN  # its five seconds would cut a farewell
    manager = Manager()
    processes = parse_procfile((ROOT / "Procfile").read_text()).processes
    for name, command in processes.items():
        kept_up = KEPT_UP.substitute(command=command)
        manager.add_process(name, kept_up, env=environment, cwd=str(ROOT))
    manager.loop()
    asked_to_stop = manager.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    return 0 if asked_to_stop else manager.returncode


@contextlib.contextmanager
def postgres(directory):
    """Run a private PostgreSQL; yields its DATABASE_URL."""
    data, secret = directory / "postgres", directory / "postgres-password"
    account = _unprivileged()
    if not (data / "PG_VERSION").exists():
        shutil.rmtree(data, ignore_errors=True)  # half made
        data.mkdir(mode=0o700)
        secret.touch(0o600)
        secret.write_text(secrets.token_urlsafe(24))
        for path in (data, secret) if account else ():
            os.chown(path, account["user"], account["group"])
        command = [postgres_program("initdb"), "-D", str(data), "-U", "postgres"]
        command += ["--auth=scram-sha-256", "-E", "UTF8", f"--pwfile={secret}"]
        heard = {"capture_output": True, "text": True}
        done = subprocess.run(command, cwd="/", **heard, **account)
        if done.returncode:
            said = done.stderr.strip()
            raise Unready(
                f"PostgreSQL could not be set up in {directory}: {said}\n"
                "Run by root, it is the user postgres, who must be able to get there; "
                "DATA_DIR can be another directory."
            )
    [port] = free_ports(1)
    command = [postgres_program("postgres"), "-D", str(data), "-p", str(port)]
    command += ["-c", f"listen_addresses={HOST}", "-c", "unix_socket_directories="]
    url = f"postgres://postgres:{secret.read_text()}@{HOST}:{port}/postgres"
    with background(command, directory / "postgres.log", signal.SIGINT, **account):
        wait_for("PostgreSQL", directory / "postgres.log", lambda: psycopg.connect(url))
        yield url


@contextlib.contextmanager
def redis_server(program, directory):
    """Run a private Redis that keeps nothing; yields its REDIS_URL."""
    [port], password = free_ports(1), secrets.token_urlsafe(24)
    config = directory / "redis.conf"
    config.touch(0o600)
    config.write_text(f'bind {HOST}\nport {port}\nsave ""\nrequirepass {password}\n')
    url = f"redis://:{password}@{HOST}:{port}/0"
    log = directory / "redis.log"
    with background([program, str(config)], log, signal.SIGTERM):
        wait_for("Redis", log, lambda: redis.Redis.from_url(url).ping())
        yield url


@contextlib.contextmanager
def nginx(program, directory, port, ports):
    """Run nginx in front of the processes on `ports`."""
    config = directory / "nginx.conf"

    def servers(options):
        return "\n".join(f"    server {HOST}:{p} {options};" for p in ports)

    facts = {
        "directory": directory,
        "files": FILES,
        "servers": servers("max_fails=1 fail_timeout=5s"),
        "never_down": servers("max_fails=0"),
    }
    config.write_text(NGINX.substitute(facts, host=HOST, port=port))
    log = directory / "nginx.log"
    with background([program, "-c", str(config)], log, signal.SIGQUIT):
        wait_for("nginx", log, lambda: socket.create_connection((HOST, port)).close())
        yield


@contextlib.contextmanager
def background(command, log_path, stop_signal, **account):
    """Run a command that Ctrl-C does not reach, and stop it in the end."""
    with open(log_path, "ab") as log:
        process = subprocess.Popen(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **account,
        )
    try:
        yield process
    finally:
        process.send_signal(stop_signal)
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(name, log_path, attempt):
    """Wait until `attempt()` does not fail any more."""
    deadline = time.monotonic() + READY_WITHIN
    while True:
        try:
            attempt()
            return
        except (OSError, psycopg.Error, redis.RedisError) as error:
            if time.monotonic() > deadline:
                raise Unready(f"{name} does not answer; see {log_path}") from error
            time.sleep(0.05)


def free_ports(count):
    """Ports of this machine that nobody listens on."""
    with contextlib.ExitStack() as probes:
        ports = []
        for _ in range(count):
            probe = probes.enter_context(socket.socket())
            probe.bind((HOST, 0))
            ports.append(probe.getsockname()[1])
        return ports


def postgres_program(name):
    """The newest installed PostgreSQL's program of this name, or None."""
    found = sorted(DEBIANS_POSTGRES.glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def _unprivileged():
    """As whom PostgreSQL runs, which refuses to run as root."""
    if os.getuid() != 0:
        return {}
    account = pwd.getpwnam("postgres")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _check_free(port):
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise Unready(
            f"Cannot listen on {HOST}:{port} ({error.strerror}); set PORT to another."
        ) from error


if __name__ == "__main__":
    main()
