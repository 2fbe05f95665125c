libprotocols_la_SOURCES +=
