/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON form of a message: one object with the same names and values as the
 * text form; numbers and truths are JSON's own, lists of records are arrays of
 * strings, bytes are escaped as in the text. See bootstrap_text.h.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "lib/util.h"
#include "proto/bootstrap_fields.h"
#include "proto/json_load.h"
#include "proto/ops.h"

static void
json_auto_decref(json_t **json)
{
	json_decref(*json);
}
#define json_auto __attribute__((cleanup(json_auto_decref)))

static json_t *
json_value(const struct bootstrap_field *field)
{
	if (field->json == FIELD_TRUTH)
		return json_boolean(strcmp(field->value, "true") == 0);
	if (field->json == FIELD_NUMBER)
		return json_integer(strtoll(field->value, NULL, 10));
	return json_string(field->value);
}

/* A record goes into the array of its name, which is made for the first. */
static int
add_record(json_t *object, const struct bootstrap_field *field)
{
	json_t *array = json_object_get(object, field->name);

	if (!array) {
		array = json_array();
		if (json_object_set_new(object, field->name, array) < 0)
			return -ENOMEM;
	}
	if (strcmp(field->value, "none") == 0)
		return 0;
	return json_array_append_new(array, json_string(field->value)) < 0
		       ? -ENOMEM
		       : 0;
}

static int
build_attributes(const struct bootstrap *msg, json_t *object)
{
	struct bootstrap_fields *fields = calloc(1, sizeof(*fields));
	size_t i;
	int r;

	if (!fields)
		return -ENOMEM;
	r = bootstrap_fields_build(msg, fields);
	for (i = 0; i < fields->n && r == 0; i++) {
		const struct bootstrap_field *field = &fields->items[i];

		if (field->json == FIELD_RECORD)
			r = add_record(object, field);
		else if (json_object_set_new(object, field->name,
					     json_value(field)) < 0)
			r = -ENOMEM;
	}
	bootstrap_fields_deinit(fields);
	free(fields);
	return r;
}

int
bootstrap_json_print(const struct bootstrap *msg, const char *const *notes,
		     size_t n_notes, FILE *out)
{
	json_auto json_t *attributes = json_object();
	json_auto json_t *list = json_array();
	json_auto json_t *whole = NULL;
	size_t i;

	if (!attributes || !list || build_attributes(msg, attributes) < 0)
		return -ENOMEM;
	for (i = 0; i < n_notes; i++)
		if (json_array_append_new(list, json_string(notes[i])) < 0)
			return -ENOMEM;
	whole = json_pack("{s:i, s:s, s:s, s:I, s:O}", "v", 1, "dialect",
			  dialect_name(msg->dialect), "type",
			  msg->type == OP_EXEC ? "exec" : "start", "seq",
			  (json_int_t)msg->seq, "attributes", attributes);
	if (!whole)
		return -ENOMEM;
	if (n_notes > 0 && json_object_set(whole, "notes", list) < 0)
		return -ENOMEM;
	if (json_dumpf(whole, out, JSON_INDENT(2)) < 0)
		return ferror(out) ? -EIO : -ENOMEM;
	return fputc('\n', out) == EOF ? -EIO : 0;
}

static int
json_fail(struct bootstrap_text_error *error, const char *what,
	  const char *name)
{
	snprintf(error->text, sizeof(error->text), "%.60s: %s", name, what);
	return -EINVAL;
}

static int
apply_value(struct bootstrap_document *document, const char *name,
	    const json_t *value, struct bootstrap_text_error *error)
{
	char number[24];

	if (json_is_string(value))
		return bootstrap_field_apply(document, name,
					     json_string_value(value), error);
	if (json_is_boolean(value))
		return bootstrap_field_apply(
			document, name, json_is_true(value) ? "true" : "false",
			error);
	if (!json_is_integer(value))
		return json_fail(error, "neither text, number nor truth", name);
	snprintf(number, sizeof(number), "%lld",
		 (long long)json_integer_value(value));
	return bootstrap_field_apply(document, name, number, error);
}

static int
apply_attribute(struct bootstrap_document *document, const char *name,
		const json_t *value, struct bootstrap_text_error *error)
{
	size_t i;
	int r;

	if (!json_is_array(value))
		return apply_value(document, name, value, error);
	if (json_array_size(value) == 0)
		return bootstrap_field_apply(document, name, "none", error);
	for (i = 0; i < json_array_size(value); i++) {
		r = apply_value(document, name, json_array_get(value, i),
				error);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
apply_head(const json_t *whole, struct bootstrap *msg,
	   struct bootstrap_text_error *error)
{
	const char *dialect =
		json_string_value(json_object_get(whole, "dialect"));
	const char *type = json_string_value(json_object_get(whole, "type"));
	const json_t *seq = json_object_get(whole, "seq");
	json_int_t number = seq ? json_integer_value(seq) : 1;

	msg->dialect = dialect ? dialect_parse(dialect) : DIALECT_NONE;
	if (msg->dialect == DIALECT_NONE)
		return json_fail(error, "missing or unknown", "dialect");
	msg->type = BOOTSTRAP_TYPE;
	if (type && strcmp(type, "exec") == 0)
		msg->type = OP_EXEC;
	else if (type && strcmp(type, "start") != 0)
		return json_fail(error, "neither start nor exec", "type");
	if (msg->type == OP_EXEC && msg->dialect != DIALECT_NX)
		return json_fail(error, "only NX has exec messages", "type");
	if ((seq && !json_is_integer(seq)) || number < 0 || number > UINT32_MAX)
		return json_fail(error, "no number of 32 bits", "seq");
	msg->seq = (uint32_t)number;
	return 0;
}

int
bootstrap_json_parse(const char *text, size_t size,
		     struct bootstrap_document *ret,
		     struct bootstrap_text_error *ret_error)
{
	json_auto json_t *whole = NULL;
	json_t *attributes, *value;
	json_error_t json_error;
	const char *name;
	int r;

	memset(ret, 0, sizeof(*ret));
	memset(ret_error, 0, sizeof(*ret_error));
	r = json_load(text, size, &whole, &json_error);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		ret_error->line =
			json_error.line > 0 ? (size_t)json_error.line : 0;
		return json_fail(ret_error, json_error.text, "JSON");
	}
	r = apply_head(whole, &ret->msg, ret_error);
	if (r < 0)
		return r;
	attributes = json_object_get(whole, "attributes");
	if (!json_is_object(attributes))
		return json_fail(ret_error, "missing or no object",
				 "attributes");
	json_object_foreach(attributes, name, value)
	{
		r = apply_attribute(ret, name, value, ret_error);
		if (r < 0)
			return r;
	}
	return 0;
}
