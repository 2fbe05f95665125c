# client: the library and the command; may use util, rpc and jansson.
