/* SPDX-License-Identifier: MIT */
/* The same mail in the form that another server is to get. */
#include "outgoing_private.h"

#include <errno.h>
#include <stdlib.h>

struct reform {
    struct worker_job job; /* first */
    struct outgoing *out;  /* a reference */
    struct mime_outline outline;
    struct mime_composer *composer;
    struct fault fault;
    void (*reformed)(void *arg, const struct fault *fault);
    void *arg;
};

static void reform_work(struct worker_job *job)
{
    struct reform *r = container_of(job, struct reform, job);
    (void) !mime_composer_new(&r->outline, &r->composer, &r->fault);
}

static void take_composer(struct outgoing *out, const struct mime_outline *outline, struct mime_composer *c)
{
    mime_composer_free(out->composer);
    out->composer = c;
    out->outline.transport = outline->transport;
    out->outline.utf8 = outline->utf8;
    out->facts.size = mime_composer_size(c);
    out->facts.needs_utf8 = mime_composer_needs_utf8(c);
    out->facts.needs_8bit = mime_composer_needs_8bit(c);
    out->facts.needs_binary = mime_composer_needs_binary(c);
    out->given = 0;
}

static void reform_done(struct worker_job *job)
{
    struct reform *r = container_of(job, struct reform, job);

    r->out->reform = NULL;
    if (!fault_is_set(&r->fault))
        take_composer(r->out, &r->outline, TAKE_PTR(r->composer));
    r->reformed(r->arg, fault_is_set(&r->fault) ? &r->fault : NULL);
}

static void reform_destroy(struct worker_job *job)
{
    struct reform *r = container_of(job, struct reform, job);

    mime_composer_free(r->composer);
    outgoing_unref(r->out);
    free(r);
}

bool outgoing_suits(const struct outgoing *out, const struct outgoing_form *form)
{
    return out->is_raw || (!mime_composer_differs(out->composer, form->transport) && out->outline.utf8 == form->utf8);
}

int outgoing_reform(struct outgoing *out, const struct outgoing_form *form, struct worker_pool *cpu,
                    void (*reformed)(void *arg, const struct fault *fault), void *arg, struct fault *fault)
{
    struct mime_outline outline = out->outline;
    struct mime_composer *composer;

    outgoing_reform_cancel(out);
    outline.transport = form->transport;
    outline.utf8 = form->utf8;
    if (out->work <= AT_ONCE_MAX) {
        int r = mime_composer_new(&outline, &composer, fault);
        if (r == 0)
            take_composer(out, &outline, composer);
        return r;
    }
    struct reform *job = calloc(1, sizeof(*job));
    if (!job)
        return fault_set(fault, -ENOMEM, FAULT_INTERNAL, NULL, "out of memory");
    job->job.work = reform_work;
    job->job.done = reform_done;
    job->job.destroy = reform_destroy;
    job->out = outgoing_ref(out);
    job->outline = outline;
    job->reformed = reformed;
    job->arg = arg;
    int r = worker_submit(cpu, &job->job);
    if (r < 0) {
        reform_destroy(&job->job);
        return fault_set(fault, r, FAULT_BUSY, NULL, "the helpers are busy");
    }
    out->reform = job;
    return 1;
}

void outgoing_reform_cancel(struct outgoing *out)
{
    struct reform *r = TAKE_PTR(out->reform);

    if (r)
        worker_detach(&r->job);
}
