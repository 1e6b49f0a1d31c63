#include "daemon/result.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/hub.h"
#include "wire/proto.h"

json_t *
dfb_hub_args(struct dfb_hub *h, struct dfb_session *s, const struct dfb_proto *m)
{
	struct dfb_blob args = m->admin.args;
	json_t *given = args.len == 0 ? json_object() :
	    json_loadb((const char *)args.p, args.len, JSON_REJECT_DUPLICATES, NULL);

	if (json_is_object(given))
		return given;
	json_decref(given);
	dfb_hub_refuse(h, s, m->req, DFB_BADINPUT, "the arguments are no JSON object");
	return NULL;
}

void
dfb_hub_result(struct dfb_hub *h, struct dfb_session *s, uint32_t req, json_t *result)
{
	struct dfb_proto out = { .type = DFB_M_RESULT };
	char *text = result != NULL ? json_dumps(result, JSON_COMPACT) : NULL;

	json_decref(result);
	if (text == NULL) {
		dfb_hub_refuse(h, s, req, DFB_OSERR, "out of memory");
		return;
	}
	out.result.json = (struct dfb_blob){ (uint8_t *)text, strlen(text) };
	if (out.result.json.len > DFB_FRAME_MAX - 64)
		dfb_hub_refuse(h, s, req, DFB_BADINPUT, "the answer is too large");
	else
		dfb_hub_answer(h, s, &out, req);
	free(text);
}
