"""The data plane: subjects, compartments, sealed field values, keys, blind search, references, consents.

The vault is the reference monitor: no function gives out a value without a `Grant`, which only `policies` mints, and
without a `Commit` that covers the log entry of that disclosure.

Compatibility promise for stored bytes. A ciphertext written by any release of Ecrin opens in every later one:

* the first two bytes of a field envelope name its version and suite; a published pair is never given another meaning;
* field ids, category ids, key labels (`search/…`, `reference/…`, `pointer/…`, `relation/…`) and the order and length
  prefixes of every context are part of the format and change only together with a new version;
* an unknown version or suite is refused, never guessed; suites leave by re-encryption, not by removal of the reader;
* frozen vectors of each release stay in `tests/vectors/` and must open for ever;
* consent events hash over the bytes that `vault.consents` documents; a new layout takes a new label, old chains verify.
"""
