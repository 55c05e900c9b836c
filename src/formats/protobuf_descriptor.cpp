/*
 * protobuf_descriptor.cpp
 *		Google's Protocol Buffers library, wrapped for C: its parser of schemas
 *		and the checks of its descriptor pool.
 *
 * Every function below catches what is thrown, copies the message and returns.
 * What the library would write to stderr is kept as a message too.
 */
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "formats/protobuf_descriptor.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

/* Since 22 errors are told by other functions, and Abseil has the log. */
#if GOOGLE_PROTOBUF_VERSION < 4022000
#define FEATHUB_OLD_PROTOBUF
#endif

/* Messages and options that are inside each other in the text of a schema. */
#define MAX_NESTING 100

/* What all inputs of a schema may have, and what it may come to. */
#define MAX_INPUT_BYTES (64 * 1024 * 1024)
#define MAX_MESSAGES 100000

/*
 * Each range of reserved numbers is compared with each, and a name looked for
 * in every scope: with no limit it would take minutes that nobody can cancel.
 */
#define MAX_RANGES 2000
#define MAX_NAME 2000

namespace
{

namespace pb = google::protobuf;

/* A schema that is none; what() is for people. */
class Invalid : public std::exception
{
public:
	Invalid(FeathubProtobufCode code, std::string text) : code(code), text(std::move(text)) {}
	const char *what() const noexcept override { return text.c_str(); }
	FeathubProtobufCode code;

private:
	std::string text;
};

[[noreturn]] void
invalid(const std::string &text)
{
	throw Invalid(FEATHUB_PROTOBUF_INVALID, text);
}

#ifdef FEATHUB_OLD_PROTOBUF
void
discard_log(pb::LogLevel, const char *, int, const std::string &)
{
}
#endif

/* The first error of a text, with its line. */
class TextErrors : public pb::io::ErrorCollector
{
public:
	explicit TextErrors(const std::string &file) : file(file) {}

#ifdef FEATHUB_OLD_PROTOBUF
	void AddError(int line, int column, const std::string &message) override
	{
		add(line, column, message);
	}
#else
	void RecordError(int line, int column, absl::string_view message) override
	{
		add(line, column, std::string(message));
	}
#endif

	std::string first;

private:
	void
	add(int line, int column, const std::string &message)
	{
		if (first.empty())
			first = file + ":" + std::to_string(line + 1) + ":" + std::to_string(column + 1) +
				": " + message;
	}

	std::string file;
};

/* The first error of descriptors that were put together. */
class PoolErrors : public pb::DescriptorPool::ErrorCollector
{
public:
#ifdef FEATHUB_OLD_PROTOBUF
	void AddError(const std::string &file, const std::string &element, const pb::Message *,
				  ErrorLocation, const std::string &message) override
	{
		add(file, element, message);
	}
#else
	void RecordError(absl::string_view file, absl::string_view element, const pb::Message *,
					 ErrorLocation, absl::string_view message) override
	{
		add(std::string(file), std::string(element), std::string(message));
	}
#endif

	std::string first;

private:
	void
	add(const std::string &file, const std::string &element, const std::string &message)
	{
		if (first.empty())
			first = file + ": " + (element.empty() ? "" : element + ": ") + message;
	}
};

/* Schemas that registries' clients take for granted, beside those of the library. */
const struct
{
	const char *name;
	const char *text;
}			builtin_files[] =
{
	{
		"confluent/meta.proto",
		"syntax = \"proto3\"; package confluent; import \"google/protobuf/descriptor.proto\";"
		"message Meta { string doc = 1; map<string, string> params = 2; repeated string tags = 3; }"
		"extend google.protobuf.FileOptions { Meta file_meta = 1088; }"
		"extend google.protobuf.MessageOptions { Meta message_meta = 1088; }"
		"extend google.protobuf.FieldOptions { Meta field_meta = 1088; }"
		"extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }"
		"extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }"
	},
	{
		"confluent/type/decimal.proto",
		"syntax = \"proto3\"; package confluent.type;"
		"message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }"
	},
	{
		"google/type/date.proto",
		"syntax = \"proto3\"; package google.type;"
		"message Date { int32 year = 1; int32 month = 2; int32 day = 3; }"
	},
	{
		"google/type/timeofday.proto",
		"syntax = \"proto3\"; package google.type;"
		"message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }"
	},
};

/*
 * The library's parsers recurse where these symbols are inside each other, and
 * have no limit.  Neither text nor comments count: tokens are read as they do.
 */
void
check_nesting(const std::string &name, const char *data, size_t len,
			  pb::io::Tokenizer::CommentStyle comments, const char *open, const char *close)
{
	TextErrors	ignored(name);
	pb::io::ArrayInputStream stream(data, (int) len);
	pb::io::Tokenizer tokenizer(&stream, &ignored);
	int			depth = 0;

	tokenizer.set_comment_style(comments);
	while (tokenizer.Next())
	{
		const auto &token = tokenizer.current();

		if (token.type != pb::io::Tokenizer::TYPE_SYMBOL)
			continue;
		if (strchr(open, token.text[0]) != nullptr)
			depth++;
		else if (strchr(close, token.text[0]) != nullptr && depth > 0)
			depth--;
		if (depth > MAX_NESTING)
			invalid(name + ": it is nested too deeply");
	}
}

/* One part of a descriptor, without those in it. */
void
check_part(const std::string &name, const pb::Message &part)
{
	int			ranges = 0;

	if (part.GetDescriptor() == pb::UninterpretedOption::descriptor())
	{
		/* options that are messages are a text, read when descriptors are put together */
		const std::string &text =
			static_cast<const pb::UninterpretedOption &>(part).aggregate_value();

		check_nesting(name, text.data(), text.size(), pb::io::Tokenizer::SH_COMMENT_STYLE,
					  "{<[", "}>]");
	}
	else if (part.GetDescriptor() == pb::FieldDescriptorProto::descriptor())
	{
		const auto &field = static_cast<const pb::FieldDescriptorProto &>(part);

		if (field.type_name().size() > MAX_NAME || field.extendee().size() > MAX_NAME)
			invalid(name + ": a name in it is too long");
	}
	else if (part.GetDescriptor() == pb::DescriptorProto::descriptor())
	{
		const auto &message = static_cast<const pb::DescriptorProto &>(part);

		ranges = message.reserved_range_size() + message.extension_range_size();
	}
	else if (part.GetDescriptor() == pb::EnumDescriptorProto::descriptor())
		ranges = static_cast<const pb::EnumDescriptorProto &>(part).reserved_range_size();
	if (ranges > MAX_RANGES)
		invalid(name + ": it has too many ranges of numbers");
}

/* What the library has no limits for, in a descriptor, whatever it comes from. */
void
check_descriptor(const std::string &name, const pb::Message &message)
{
	const pb::Reflection *reflection = message.GetReflection();
	std::vector<const pb::FieldDescriptor *> present;

	check_part(name, message);
	reflection->ListFields(message, &present);
	for (const auto *field : present)
	{
		if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE)
			continue;
		if (!field->is_repeated())
			check_descriptor(name, reflection->GetMessage(message, field));
		for (int i = 0; field->is_repeated() && i < reflection->FieldSize(message, field); i++)
			check_descriptor(name, reflection->GetRepeatedMessage(message, field, i));
	}
}

void
parse_text(const std::string &name, const char *data, size_t len, pb::FileDescriptorProto *file)
{
	TextErrors	errors(name);
	pb::io::ArrayInputStream stream(data, (int) len);
	pb::io::Tokenizer tokenizer(&stream, &errors);
	pb::compiler::Parser parser;

	/* goes on behind errors, so only what closes a block ends it */
	check_nesting(name, data, len, pb::io::Tokenizer::CPP_COMMENT_STYLE, "{", "}");
	parser.RecordErrorsTo(&errors);
	if (!parser.Parse(&tokenizer, file) || !errors.first.empty())
		invalid(errors.first.empty() ? name + ": it is no .proto file" : errors.first);
	file->set_name(name);
}

/* The files of the inputs, and those that everybody has. */
class Files : public pb::DescriptorDatabase
{
public:
	/* Add a file; its name. */
	std::string
	add(const pb::FileDescriptorProto &file)
	{
		pb::FileDescriptorProto &own = files[file.name()];

		own = file;
		/* of no use here */
		own.clear_service();
		own.clear_source_code_info();
		check_descriptor(file.name(), own);
		return file.name();
	}

	bool
	FindFileByName(const std::string &name, pb::FileDescriptorProto *output) override
	{
		auto		found = files.find(name);
		const pb::FileDescriptor *known;

		if (found != files.end())
		{
			*output = found->second;
			return true;
		}
		for (const auto &builtin : builtin_files)
		{
			if (name == builtin.name)
			{
				parse_text(name, builtin.text, strlen(builtin.text), output);
				return true;
			}
		}
		known = pb::DescriptorPool::generated_pool()->FindFileByName(name);
		if (known == nullptr)
			return false;
		known->CopyTo(output);
		return true;
	}

	bool
	FindFileContainingSymbol(const std::string &, pb::FileDescriptorProto *) override
	{
		return false;
	}

	bool
	FindFileContainingExtension(const std::string &, int, pb::FileDescriptorProto *) override
	{
		return false;
	}

private:
	std::map<std::string, pb::FileDescriptorProto> files;
};

/* Names of message types, for the hint. */
void
list_messages(const pb::FileDescriptor *file, std::string *list)
{
	for (int i = 0; i < file->message_type_count() && list->size() < 800; i++)
	{
		if (!list->empty())
			*list += ", ";
		*list += std::string(file->message_type(i)->full_name());
	}
}

/* The schema that crosses the edge, with all that it points to. */
class Schema : public FeathubProtobufSchema
{
public:
	explicit Schema(const pb::Descriptor *type)
	{
		set_path(type);
		root = message_index(type);
		/* fields reach further messages, so the list grows */
		for (size_t i = 0; i < descriptors.size(); i++)
			add_message(descriptors[i]);
		nmessages = (int) all_messages.size();
		messages = all_messages.data();
		nenums = (int) all_enums.size();
		enums = all_enums.data();
	}

private:
	void
	set_path(const pb::Descriptor *type)
	{
		npath = 0;
		for (const pb::Descriptor *at = type; at != nullptr; at = at->containing_type())
			npath++;
		if (npath > FEATHUB_PROTOBUF_MAX_PATH)
			invalid("message \"" + std::string(type->full_name()) + "\" is nested too deeply");
		for (int i = npath - 1; i >= 0; i--, type = type->containing_type())
			path[i] = type->index();
	}

	const char *
	keep(const std::string &text)
	{
		strings.emplace_back(new std::string(text));
		return strings.back()->c_str();
	}

	int
	message_index(const pb::Descriptor *message)
	{
		auto		found = message_indexes.find(message);

		if (found != message_indexes.end())
			return found->second;
		if (descriptors.size() >= MAX_MESSAGES)
			invalid("the schema has too many messages");
		descriptors.push_back(message);
		return message_indexes[message] = (int) descriptors.size() - 1;
	}

	int
	enum_index(const pb::EnumDescriptor *type)
	{
		auto		found = enum_indexes.find(type);
		FeathubProtobufEnum result = {};

		if (found != enum_indexes.end())
			return found->second;
		result.full_name = keep(std::string(type->full_name()));
#ifdef FEATHUB_OLD_PROTOBUF
		result.is_closed = type->file()->syntax() == pb::FileDescriptor::SYNTAX_PROTO2;
#else
		result.is_closed = type->is_closed();
#endif
		result.nvalues = type->value_count();
		values.emplace_back(new FeathubProtobufValue[result.nvalues]);
		result.values = values.back().get();
		for (int i = 0; i < result.nvalues; i++)
		{
			result.values[i].name = keep(std::string(type->value(i)->name()));
			result.values[i].number = type->value(i)->number();
		}
		all_enums.push_back(result);
		return enum_indexes[type] = (int) all_enums.size() - 1;
	}

	void
	set_default(const pb::FieldDescriptor *field, FeathubProtobufField *out)
	{
		double		real;
		float		single;
		uint32_t	bits;

		switch (field->cpp_type())
		{
			case pb::FieldDescriptor::CPPTYPE_INT32:
				out->default_bits = (uint64_t) (int64_t) field->default_value_int32();
				break;
			case pb::FieldDescriptor::CPPTYPE_INT64:
				out->default_bits = (uint64_t) field->default_value_int64();
				break;
			case pb::FieldDescriptor::CPPTYPE_UINT32:
				out->default_bits = field->default_value_uint32();
				break;
			case pb::FieldDescriptor::CPPTYPE_UINT64:
				out->default_bits = field->default_value_uint64();
				break;
			case pb::FieldDescriptor::CPPTYPE_DOUBLE:
				real = field->default_value_double();
				memcpy(&out->default_bits, &real, sizeof(real));
				break;
			case pb::FieldDescriptor::CPPTYPE_FLOAT:
				single = field->default_value_float();
				memcpy(&bits, &single, sizeof(bits));
				out->default_bits = bits;
				break;
			case pb::FieldDescriptor::CPPTYPE_BOOL:
				out->default_bits = field->default_value_bool();
				break;
			case pb::FieldDescriptor::CPPTYPE_ENUM:
				out->default_bits = (uint64_t) (int64_t) field->default_value_enum()->number();
				break;
			case pb::FieldDescriptor::CPPTYPE_STRING:
				{
					std::string text(field->default_value_string());

					out->default_bytes = keep(text);
					out->default_len = text.size();
					break;
				}
			default:
				break;
		}
	}

	void
	add_message(const pb::Descriptor *message)
	{
		FeathubProtobufMessage result = {};
		std::map<int, const pb::FieldDescriptor *> by_number;
		int			n = 0;

		for (int i = 0; i < message->field_count(); i++)
			by_number[message->field(i)->number()] = message->field(i);
		result.full_name = keep(std::string(message->full_name()));
		result.nfields = message->field_count();
		result.noneofs = message->real_oneof_decl_count();
		fields.emplace_back(new FeathubProtobufField[result.nfields]());
		result.fields = fields.back().get();
		for (const auto &entry : by_number)
		{
			const pb::FieldDescriptor *field = entry.second;
			FeathubProtobufField *to = &result.fields[n++];

			to->name = keep(std::string(field->name()));
			to->number = field->number();
			to->type = (FeathubProtobufType) field->type();
			to->is_repeated = field->is_repeated();
			to->is_map = field->is_map();
			to->is_packed = field->is_packed();
			to->is_required = field->is_required();
			to->has_presence = !field->is_repeated() && field->has_presence();
			to->has_default = field->has_default_value();
			to->oneof = field->real_containing_oneof() == nullptr ? -1 :
				field->real_containing_oneof()->index();
			to->message = to->enumeration = -1;
			if (field->message_type() != nullptr)
				to->message = message_index(field->message_type());
			if (field->enum_type() != nullptr)
				to->enumeration = enum_index(field->enum_type());
			if (!field->is_repeated())
				set_default(field, to);
		}
		all_messages.push_back(result);
	}

	std::vector<const pb::Descriptor *> descriptors;
	std::map<const pb::Descriptor *, int> message_indexes;
	std::map<const pb::EnumDescriptor *, int> enum_indexes;
	std::vector<FeathubProtobufMessage> all_messages;
	std::vector<FeathubProtobufEnum> all_enums;
	std::vector<std::unique_ptr<std::string>> strings;
	std::vector<std::unique_ptr<FeathubProtobufField[]>> fields;
	std::vector<std::unique_ptr<FeathubProtobufValue[]>> values;
};

/* Put an input's files into the database, and their names behind the list. */
void
add_input(Files *files, const FeathubProtobufInput *input, std::vector<std::string> *names)
{
	pb::FileDescriptorProto file;
	pb::FileDescriptorSet set;

	if (input->len > MAX_INPUT_BYTES)
		invalid(std::string(input->name) + ": it has more than " +
				std::to_string(MAX_INPUT_BYTES) + " bytes");
	switch (input->kind)
	{
		case FEATHUB_PROTOBUF_SOURCE:
			parse_text(input->name, input->data, input->len, &file);
			names->push_back(files->add(file));
			break;
		case FEATHUB_PROTOBUF_FILE:
			if (!file.ParseFromArray(input->data, (int) input->len))
				invalid(std::string(input->name) + ": it is no compiled descriptor");
			file.set_name(input->name);
			names->push_back(files->add(file));
			break;
		default:
			if (!set.ParseFromArray(input->data, (int) input->len) || set.file_size() == 0)
				invalid(std::string(input->name) + ": it is no file of compiled descriptors");
			for (const auto &each : set.file())
				names->push_back(files->add(each));
			break;
	}
}

const pb::Descriptor *
find_message(const pb::DescriptorPool &pool, const pb::FileDescriptor *file,
			 const std::vector<const pb::FileDescriptor *> &all, const char *name, int npath,
			 const int *path, bool first)
{
	const pb::Descriptor *message = nullptr;
	std::string list;

	if (name != nullptr)
		message = pool.FindMessageTypeByName(name);
	else if (npath > 0)
	{
		if (path[0] >= 0 && path[0] < file->message_type_count())
			message = file->message_type(path[0]);
		for (int i = 1; i < npath && message != nullptr; i++)
			message = path[i] < 0 || path[i] >= message->nested_type_count() ? nullptr :
				message->nested_type(path[i]);
	}
	else if (file->message_type_count() == 1 || (first && file->message_type_count() > 0))
		message = file->message_type(0);
	if (message != nullptr)
		return message;

	list_messages(file, &list);
	for (const auto *other : all)
	{
		if (other != file)
			list_messages(other, &list);
	}
	throw Invalid(FEATHUB_PROTOBUF_NO_MESSAGE, list);
}

Schema *
compile_inputs(int ninputs, const FeathubProtobufInput *inputs, const char *name, int npath,
			   const int *path, bool first)
{
	Files		files;
	PoolErrors	errors;
	pb::DescriptorPool pool(&files, &errors);
	std::vector<const pb::FileDescriptor *> all;
	std::vector<std::string> names;

	for (int i = 0; i < ninputs; i++)
		add_input(&files, &inputs[i], &names);
	if (names.empty())
		invalid("there is no schema");
	for (const auto &each : names)
	{
		all.push_back(pool.FindFileByName(each));
		if (all.back() == nullptr)
			invalid(errors.first.empty() ? each + ": it cannot be compiled" : errors.first);
	}
	return new Schema(find_message(pool, all.back(), all, name, npath, path, first));
}

void
set_status(FeathubProtobufStatus *status, FeathubProtobufCode code, const char *message)
{
	status->code = code;
	strncpy(status->message, message, sizeof(status->message) - 1);
	status->message[sizeof(status->message) - 1] = '\0';
}

const FeathubProtobufSchema *
schema_compile(int ninputs, const FeathubProtobufInput *inputs, const char *name, int npath,
			   const int *path, bool first, FeathubProtobufStatus *status)
{
	const FeathubProtobufSchema *result = nullptr;
#ifdef FEATHUB_OLD_PROTOBUF
	pb::LogHandler *old = pb::SetLogHandler(discard_log);
#endif

	set_status(status, FEATHUB_PROTOBUF_OK, "");
	try
	{
		result = compile_inputs(ninputs, inputs, name, npath, path, first);
	}
	catch (const Invalid &e)
	{
		set_status(status, e.code, e.what());
	}
	catch (const std::bad_alloc &)
	{
		set_status(status, FEATHUB_PROTOBUF_MEMORY, "out of memory");
	}
	catch (const std::exception &e)
	{
		set_status(status, FEATHUB_PROTOBUF_FAILED, e.what());
	}
	catch (...)
	{
		set_status(status, FEATHUB_PROTOBUF_FAILED, "unknown exception");
	}
#ifdef FEATHUB_OLD_PROTOBUF
	pb::SetLogHandler(old);
#endif
	return result;
}

void
schema_release(const FeathubProtobufSchema *schema)
{
	delete static_cast<const Schema *>(schema);
}

#define TEXT_OF(x) #x
#define VERSION_TEXT(x) TEXT_OF(x)

const FeathubProtobufApi api = {
	FEATHUB_PROTOBUF_VERSION,
	"Protocol Buffers " VERSION_TEXT(GOOGLE_PROTOBUF_VERSION),
	schema_compile,
	schema_release,
};

} /* namespace */

EXPORTED const FeathubProtobufApi *
feathub_protobuf_api(void)
{
	return &api;
}
