"""A real OpenTAXII server on loopback, with its accounts, services and collection."""

import sys
from pathlib import Path

import cabby
import yaml

from process import Process

COLLECTION = "webflows_interop_v0"
BINDING = "urn:stix.mitre.org:xml:1.1.1"
READER = ("reader", "reader's pass:wörd")
PUBLISHER = ("publisher", "publisher's")
BLOCKS_PER_PART = 3

HERE = Path(__file__).parent


class TaxiiServer:
    """OpenTAXII as its manual sets it up: its own commands, SQLite, Basic authentication."""

    def __init__(self, folder, counts=False):
        """With `counts` each answer says how many blocks there are, and the last part is not empty."""
        self._folder = Path(folder)
        self._counts = counts
        environment = {"OPENTAXII_CONFIG": str(self._write("opentaxii.yml", self._configuration()))}
        contents = self._write("opentaxii-data.yml", _contents())
        loaded = Process(
            "opentaxii-sync-data",
            [Path(sys.executable).parent / "opentaxii-sync-data", contents],
            folder,
            environment,
        )
        if loaded.wait() != 0:
            raise AssertionError(f"opentaxii-sync-data failed:\n{loaded.log()}")
        self.process = Process(
            "opentaxii", [sys.executable, HERE / "serve_opentaxii.py"], folder, environment
        )
        port = self.process.wait_until(self.process.output, "port of OpenTAXII").strip()
        self.url = f"http://127.0.0.1:{port}"
        self.poll_path = "/services/poll"
        self.discovery_url = f"{self.url}/services/discovery"

    def client(self, account=PUBLISHER):
        """cabby, logged in, finding its way by the discovery service."""
        client = cabby.create_client(discovery_url=self.discovery_url)
        username, password = account
        # requests writes text as Latin-1, the server reads UTF-8.
        client.set_auth(username=username.encode(), password=password.encode())
        return client

    def publish(self, packages):
        """Pushes (time, package XML) pairs; the time is the content block's timestamp label."""
        client = self.client()
        for published, package in packages:
            client.push(package, BINDING, collection_names=[COLLECTION], timestamp=published)

    def _configuration(self):
        def database(name):
            return {"db_connection": f"sqlite:///{self._folder / name}", "create_tables": True}

        return {
            "support_basic_auth": True,
            "auth_api": {
                "class": "opentaxii.auth.sqldb.SQLDatabaseAPI",
                "parameters": database("auth.db") | {"secret": "of one test run, for nobody else"},
            },
            "taxii1": {
                "persistence_api": {
                    "class": "opentaxii.persistence.sqldb.SQLDatabaseAPI",
                    "parameters": database("data.db"),
                },
                "count_blocks_in_poll_responses": self._counts,
            },
        }

    def _write(self, name, content):
        path = self._folder / name
        path.write_text(yaml.safe_dump(content))
        return path


def _contents():
    def service(kind, **properties):
        return {
            "id": kind,
            "type": kind,
            "address": f"/services/{kind.replace('_', '-')}",
            "authentication_required": True,
            "protocol_bindings": ["urn:taxii.mitre.org:protocol:http:1.0"],
            **properties,
        }

    services = [
        service("inbox", destination_collection_required=True, accept_all_content=True),
        service("collection_management"),
        service("poll", max_result_size=BLOCKS_PER_PART),
    ]
    advertised = [offered["id"] for offered in services]
    return {
        "services": [service("discovery", advertised_services=advertised), *services],
        "collections": [
            {
                "name": COLLECTION,
                "type": "DATA_FEED",
                "available": True,
                "accept_all_content": True,
                "supported_content": [BINDING],
                "service_ids": advertised,
            }
        ],
        "accounts": [
            _account(READER, "read"),
            _account(PUBLISHER, "modify"),
        ],
    }


def _account(account, permission):
    username, password = account
    return {"username": username, "password": password, "permissions": {COLLECTION: permission}}
