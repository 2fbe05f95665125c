/* SPDX-License-Identifier: MIT */
/* rpc.discover, rpc.cancel */
#include "config.h"

#include "api_gateway.h"
#include "methods.h"
#include "op_core.h"
#include "rpc_discover.h"

static int discover_run(struct op *op)
{
    rpc_discover_write(&op->w, PACKAGE_VERSION);
    return OP_DONE;
}

const struct op_handler rpc_discover_handler = {.run = discover_run};

static int cancel_run(struct op *op)
{
    const struct api_rpc_cancel_params *p = op->params;
    bool found = ops_cancel_id(op->core->client, p->id, op);
    json_write_object_begin(&op->w);
    json_write_member_bool(&op->w, "found", found);
    json_write_object_end(&op->w);
    return OP_DONE;
}

const struct op_handler rpc_cancel_handler = {.run = cancel_run};
